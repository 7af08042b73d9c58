// What passes through the layers of the video VAE, a few frames at a time: a layer keeps the last
// frames that its convolutions will see again, so that a video in pieces gives, frame for frame,
// the same bits as in one piece. Convolutions that look ahead give a frame later than they take it.
#pragma once

#include "graph/graph.h"
#include "vae/layers.h"

namespace ltx2 {

// The frames a convolution has seen and will see again.
class Past {
public:
    Past(Shape frame, bool causal);
    // What `conv` reads when frames `x` come; `last` says that none will follow.
    Conv3dCall call(Graph & g, const Conv3dCall & conv, Tensor x, bool last);
    Tensor frames() const { return call_.past; }           // those before x, or null
    int64_t first() const { return seen_ - kept_frames_; } // the index in the video of the first
    int64_t given() const { return given_; }               // how many outputs there have been
    // Keeps what the next call needs. The nodes that read the past must be in the graph before.
    void finish(Graph & g);

private:
    Kept kept_; // two frames, from when they are needed
    Shape frame_;
    bool causal_;
    int64_t kept_frames_ = 0, seen_ = 0, given_ = 0; // frames
    int before_; // copies of the first frame that still stand in front
    Conv3dCall call_;
    bool last_ = false;
};

// A run passes one video through one layer: the call takes frames, `last` says that none will
// follow, and gives those that are finished, or null; then finish() keeps what the next call needs.
struct VaeConvRun {
    const VaeConvLayer & layer;
    Past past;

    VaeConvRun(const VaeConvLayer & layer, Shape frame, bool causal)
        : layer(layer), past(frame, causal) {}
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g) { past.finish(g); }
};

struct VaeResRun {
    const VaeResBlock & layer;
    Past past1, past2;
    bool second = false; // conv2 has run in this graph

    VaeResRun(const VaeResBlock & layer, Shape frame, bool causal);
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g);
};

struct VaeUpsampleRun {
    const VaeUpsample & layer;
    Past past;
    bool begun = false; // the first frame has been dropped

    VaeUpsampleRun(const VaeUpsample & layer, Shape frame, bool causal)
        : layer(layer), past(frame, causal) {}
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g) { past.finish(g); }
};

struct VaeDownsampleRun {
    const VaeDownsample & layer;
    Past past;
    bool begun = false;    // the first frame has been doubled
    Kept odd{};            // where time is halved: a frame that waits for its pair
    bool waiting = false;  // it does
    Tensor left = nullptr; // of this graph: the frame to be kept there
    bool ran = false;      // the convolution has run in this graph

    VaeDownsampleRun(const VaeDownsample & layer, Shape frame, bool causal)
        : layer(layer), past(frame, causal) {}
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g);
};

using VaeLayerRun = std::variant<VaeConvRun, VaeResRun, VaeUpsampleRun, VaeDownsampleRun>;
VaeLayerRun begin(const VaeLayer & layer, Shape frame, bool causal);

} // namespace ltx2

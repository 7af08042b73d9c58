// The layers of the video VAE. Frames pass through them a few at a time: each layer keeps the last
// frames that its convolutions will see again, so that a video in pieces gives, frame for frame,
// the same bits as the whole. Convolutions that look ahead hand out a frame later than they take
// it.
#pragma once

#include "graph/graph.h"
#include "graph/weights.h"
#include "vae/config.h"

#include <variant>

namespace ltx2 {

struct VaeConv {
    Tensor weight, bias;
    int kernel, stride_time = 1, stride_space = 1;
    Border border;

    VaeConv(const Weights & w, int64_t in, int64_t out, Border border, int kernel = 3);
    void pack(const Device & device) const; // once, after the weights have been loaded
};

// The frames a convolution has seen and will see again.
class Past {
public:
    void start(Shape frame, bool causal);
    void stop() { kept_ = Kept(); } // after the last frames: nothing is needed any more
    // What `conv` reads when frames `x` come; `last` says that none will follow.
    Conv3dCall call(Graph & g, const VaeConv & conv, Tensor x, bool last);
    Tensor frames() const { return view_; }                // those before x, or null
    int64_t first() const { return seen_ - kept_frames_; } // the index in the video of the first
    int64_t given() const { return given_; }               // how many outputs there have been
    // Keeps what the next call needs. The nodes that read the past must be in the graph before.
    void finish(Graph & g);

private:
    Kept kept_; // two frames, from when they are needed
    Shape frame_{};
    bool causal_ = false;
    int64_t kept_frames_ = 0, seen_ = 0, given_ = 0; // frames
    int before_ = 0; // copies of the first frame that still stand in front
    Tensor view_ = nullptr;
    Conv3dCall call_;
    bool last_ = false;
};

// A convolution; with `activated`, behind PixelNorm and SiLU.
struct VaeConvLayer {
    VaeConv conv;
    bool activated;
    Past past{};

    void start(Shape frame, bool causal);
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g) { past.finish(g); }
    void stop() { past.stop(); }
    void pack(const Device & device) const { conv.pack(device); }
};

// conv2(silu(norm(conv1(silu(norm(x)))))) + x, or + conv_shortcut(norm3(x)) where widths differ.
struct VaeResBlock {
    VaeConv conv1, conv2;
    std::vector<VaeConv> conv_shortcut; // none or one
    Tensor norm3_weight = nullptr, norm3_bias = nullptr;
    Past past1, past2;
    bool second = false; // conv2 has run in this graph

    VaeResBlock(const Weights & w, int64_t in, int64_t out, Border border);
    void start(Shape frame, bool causal);
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g);
    void stop();
    void pack(const Device & device) const;
};

// A convolution whose channels become time, rows and columns.
struct VaeUpsample {
    VaeConv conv;
    VaeStage stage;
    Past past{};
    bool begun = false; // the first frame has been dropped

    void start(Shape frame, bool causal);
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g) { past.finish(g); }
    void stop() { past.stop(); }
    void pack(const Device & device) const { conv.pack(device); }
};

// Time, rows and columns become channels, of a convolution and, as means, of its input.
struct VaeDownsample {
    VaeConv conv;
    VaeStage stage;
    Past past{};
    bool begun = false;    // the first frame has been doubled
    Kept odd{};            // where time is halved: a frame that waits for its pair
    bool waiting = false;  // it does
    Tensor left = nullptr; // of this graph: the frame to be kept there
    bool ran = false;      // the convolution has run in this graph

    void start(Shape frame, bool causal);
    Tensor operator()(Graph & g, Tensor x, bool last);
    void finish(Graph & g);
    void stop();
    void pack(const Device & device) const { conv.pack(device); }
};

struct VaeLayer {
    std::string name;  // the reference's module path
    std::string stage; // the stage that ends here, or empty
    int64_t in, out;   // channels
    int down_time = 1, down_space = 1, up_time = 1, up_space = 1;
    std::variant<VaeConvLayer, VaeResBlock, VaeUpsample, VaeDownsample> act;
};

// `w` is at "vae.encoder" or "vae.decoder". Errors: MODEL.
std::vector<VaeLayer> encoder_layers(const Weights & w, const VaeConfig & config);
std::vector<VaeLayer> decoder_layers(const Weights & w, const VaeConfig & config);

} // namespace ltx2

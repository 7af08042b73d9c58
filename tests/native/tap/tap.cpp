// Runs one component of the model on given arrays, for comparison with the reference:
//     ltx2_tap COMPONENT MODEL[,MODEL...] OUT [name=value ...]
// Values are .npy files, numbers or words, as the component takes them; `device` and `threads` are
// taken by all. What the component gives, and every tapped value, is written as OUT/<name>.npy.
#include "audio/audio_vae.h"
#include "audio/resample.h"
#include "audio/vocoder.h"
#include "dit/dit.h"
#include "job.h"
#include "sampling/samplers.h"
#include "sampling/schedules.h"
#include "text/connector.h"
#include "text/duration.h"
#include "text/encoder.h"
#include "text/tokenizer.h"
#include "text/writing.h"
#include "vae/diffusion_decoder.h"
#include "vae/image.h"
#include "vae/upsampler.h"
#include "vae/video_encoder.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

using namespace ltx2;

namespace {

// A modality's latent [tokens, channels], mask, perhaps single_frames, positions [axes, tokens, 2].
Stream stream_of(const Job & job, const std::string & prefix) {
    const npy::Array latent = job.array(prefix + "latent");
    Stream stream;
    stream.channels = static_cast<int>(latent.shape.at(1));
    stream.latents = latent.floats();
    stream.mask = job.array(prefix + "mask").floats();
    if (const std::string name = prefix + "single_frames"; job.options.count(name))
        stream.single_frames = job.array(name).floats();
    const std::vector<float> spans = job.array(prefix + "positions").floats();
    const int64_t axes = static_cast<int64_t>(spans.size()) / stream.tokens() / 2;
    const auto middle = [&](int64_t axis, int64_t token) {
        const size_t at = static_cast<size_t>((axis * stream.tokens() + token) * 2);
        return axis < axes ? (spans.at(at) + spans.at(at + 1)) / 2 : 0;
    };
    for (int64_t t = 0; t < stream.tokens(); ++t)
        stream.positions.push_back({middle(0, t), middle(1, t), middle(2, t)});
    return stream;
}

TextFeatures text_of(const Job & job, const std::string & name) {
    const npy::Array context = job.array(name);
    return {context.shape.at(0), context.shape.at(1), context.floats()};
}

// Streams, context [rows, width], sigma; stg_blocks [n] perturbs. With audio.latent and so on both
// modalities, and a pass in which neither looks at the other. Gives velocity, perturbed.velocity,
// isolated.velocity, and audio.*.
void dit(Job & job) {
    State state = {stream_of(job, "")};
    std::vector<TextFeatures> texts = {text_of(job, "context")};
    const bool audio = job.options.count("audio.latent");
    if (audio) {
        state.push_back(stream_of(job, "audio."));
        texts.push_back(text_of(job, "audio.context"));
    }
    std::vector<int> stg_blocks;
    if (job.options.count("stg_blocks"))
        stg_blocks = job.array("stg_blocks").as<int32_t>("<i4");
    const Model model = job.model();
    Dit dit(model, job.device, audio);
    dit.load(Progress());
    std::vector<DitInput> inputs;
    for (size_t s = 0; s < state.size(); ++s)
        inputs.push_back({state[s].positions, texts[s], nullptr, stg_blocks});
    DitRun run(dit, inputs, /*isolates=*/audio);
    const Velocities v = run.velocity(state, job.array("sigma").floats().at(0), Progress());
    for (const auto & [pass, values] :
         {std::pair{"", &v.plain}, {"perturbed.", &v.perturbed}, {"isolated.", &v.isolated}})
        for (size_t s = 0; s < values->size(); ++s)
            job.save((s ? "audio." : "") + std::string(pass) + "velocity",
                     {state[s].tokens(), state[s].channels}, (*values)[s].data());
}

// picture, uint8 [height, width, 3]; height, width -> pixels [1, height, width, 3]
void image(Job & job) {
    const npy::Array picture = job.array("picture");
    const int height = job.integer("height", 0), width = job.integer("width", 0);
    const std::vector<float> pixels =
        cover(picture.as<uint8_t>("|u1").data(), static_cast<int>(picture.shape.at(1)),
              static_cast<int>(picture.shape.at(0)), width, height);
    job.save("pixels", {1, height, width, 3}, pixels.data());
}

// latent [channels, frames, height, width]
Latents latents_of(const Job & job) {
    const npy::Array planes = job.array("latent");
    const auto side = [&](size_t i) { return static_cast<int>(planes.shape.at(i)); };
    Latents latents{{side(1), side(2), side(3)}, side(0), {}};
    latents.values = from_planes(planes.floats().data(), latents.grid.cells(), latents.channels);
    return latents;
}

void save_latents(const Job & job, const Latents & latents) {
    const Grid & g = latents.grid;
    job.save("latent", {latents.channels, g.frames, g.height, g.width},
             to_planes(latents.values.data(), g.cells(), latents.channels).data());
}

// pixels=clip.npy, uint8 [frames, height, width, 3] -> latent
void vae_encode(Job & job) {
    const npy::Array clip = job.array("pixels");
    std::vector<float> pixels;
    for (uint8_t byte : clip.as<uint8_t>("|u1"))
        pixels.push_back(static_cast<float>(byte) / 127.5f - 1.0f);
    const Model model = job.model();
    VideoEncoder vae(model, job.device);
    vae.load(Progress());
    vae.window = static_cast<size_t>(job.integer("window", static_cast<int>(vae.window)));
    const Latents latents =
        vae.encode(pixels, static_cast<int>(clip.shape.at(0)), static_cast<int>(clip.shape.at(1)),
                   static_cast<int>(clip.shape.at(2)), Progress());
    save_latents(job, latents);
}

// latent [channels, frames, height, width]; of a decoder that denoises, noise [3, frames, height,
// width], and whether columns end in copies -> pixels, uint8 [frames, height, width, 3]
void vae_decode(Job & job) {
    const Latents latents = latents_of(job);
    const Model model = job.model();
    const auto vae = open_video_decoder(model, job.device);
    vae->load(Progress());
    vae->window = static_cast<size_t>(job.integer("window", static_cast<int>(vae->window)));
    if (auto * denoising = dynamic_cast<DiffusionDecoder *>(vae.get()))
        denoising->copied = job.integer("copied", 1);
    const auto noise = [all = job.floats("noise")](int64_t first, int64_t count) {
        return std::vector<float>(all.begin() + first, all.begin() + first + count);
    };
    const auto [time, space] = vae->config().scale;
    const int64_t height = latents.grid.height * space, width = latents.grid.width * space;
    std::vector<uint8_t> pixels;
    vae->decode(latents, noise, Progress(), [&](const uint8_t * rows, int, int count, bool) {
        pixels.insert(pixels.end(), rows, rows + count * height * width * 3);
    });
    job.save("pixels", {1 + (latents.grid.frames - 1) * time, height, width, 3}, pixels.data(),
             "|u1");
}

// patches [frames, height, width, channels], what conv_in reads -> what conv_out gives, in windows
void vae_stream(Job & job) {
    const npy::Array patches = job.array("patches");
    const std::string half = job.text("half", "decoder");
    const Model model = job.model();
    const Part & part = model.need(VideoDecoder::part);
    const VaeConfig config = half == "decoder" ? VaeConfig::decoder(part.group("vae"))
                                               : VaeConfig::encoder(part.group("vae"));
    VaeStream stream(job.device, part, "vae." + half, config);
    stream.load(Progress());
    std::vector<float> all;
    Shape ne{};
    const auto & s = patches.shape;
    stream.run(patches.floats().data(), {s.at(3), s.at(2), s.at(1), s.at(0)},
               static_cast<size_t>(job.integer("window", 0)), {Progress(), half.c_str(), 1},
               [&](const std::vector<float> & values, Shape shape) {
                   all.insert(all.end(), values.begin(), values.end());
                   ne = {shape[0], shape[1], shape[2], ne[3] + shape[3]};
               });
    job.save("out", {ne[3], ne[2], ne[1], ne[0]}, all.data());
}

// latent [channels, frames, height, width], not normalised -> latent
void upsample(Job & job) {
    const Latents latents = latents_of(job);
    const Model model = job.model();
    const bool in_time = model.find(Upsampler::temporal_part);
    Upsampler upsampler(model, job.device, in_time ? Upsampler::temporal_part : Upsampler::part);
    upsampler.load(Progress());
    const Latents out = upsampler.enlarge(latents, Progress());
    save_latents(job, out);
}

// [a][b][c] -> [b][a][c]
std::vector<float> swapped(const std::vector<float> & values, int64_t a, int64_t b, int64_t c) {
    std::vector<float> out;
    for (int64_t j = 0; j < b; ++j)
        for (int64_t i = 0; i < a; ++i)
            out.insert(out.end(), values.begin() + (i * b + j) * c,
                       values.begin() + (i * b + j + 1) * c);
    return out;
}

void save_spectrogram(const Job & job, const Spectrogram & spectrogram) {
    const int64_t frames = spectrogram.frames(), bands = Spectrogram::bands;
    job.save("mel", {2, frames, bands}, swapped(spectrogram.values, frames, 2, bands).data());
}
Spectrogram spectrogram_of(const Job & job) { // mel [2, frames, bands]
    const npy::Array mel = job.array("mel");
    return {swapped(mel.floats(), 2, mel.shape.at(1), mel.shape.at(2))};
}

// latent [channels, latents, bins]; window -> mel [2, frames, bands]
void audio_decode(Job & job) {
    const npy::Array given = job.array("latent");
    const int64_t channels = given.shape.at(0), count = given.shape.at(1), bins = given.shape.at(2);
    const Latents latents{{static_cast<int>(count), 1, 1},
                          static_cast<int>(channels * bins),
                          swapped(given.floats(), channels, count, bins)};
    const Model model = job.model();
    AudioDecoder vae(model, job.device);
    vae.load(Progress());
    vae.window = job.integer("window", static_cast<int>(vae.window));
    save_spectrogram(job, vae.decode(latents, Progress()));
}

// mel [2, frames, bands]; window -> latent [channels, latents, bins]
void audio_encode(Job & job) {
    const Model model = job.model();
    AudioEncoder vae(model, job.device);
    vae.load(Progress());
    vae.window = job.integer("window", static_cast<int>(vae.window));
    const Latents latents = vae.encode(spectrogram_of(job), Progress());
    const int64_t count = latents.grid.frames, bins = vae.config().bins();
    const int64_t channels = latents.channels / bins;
    job.save("latent", {channels, count, bins},
             swapped(latents.values, count, channels, bins).data());
}

// mel [2, frames, bands]; window -> sound [positions, 2], rate
void vocode(Job & job) {
    const Model model = job.model();
    Vocoder vocoder(model, job.device);
    vocoder.load(Progress());
    vocoder.set_window(job.integer("window", 1024));
    const Sound sound = vocoder.sound(spectrogram_of(job), Progress());
    job.save("sound", {sound.positions(), 2}, sound.samples.data());
    const float rate = static_cast<float>(sound.rate);
    job.save("rate", {1}, &rate);
}

// MODEL is not read. sound [positions, channels], rate -> mel [2, frames, bands]
void mel(Job & job) {
    const npy::Array given = job.array("sound");
    const Sound sound = as_stereo(given.floats().data(), given.shape.at(0),
                                  static_cast<int>(given.shape.at(1)), job.integer("rate", 0));
    save_spectrogram(job, encoder_spectrogram(sound, job.device, Progress()));
}

// MODEL is not read. sound [positions, 2], from, to, copies (or zeros outside) -> sound
void resampled(Job & job) {
    const std::vector<float> out =
        resample(job.array("sound").floats(), job.integer("from", 0), job.integer("to", 0),
                 job.integer("copies", 0) ? Outside::copies : Outside::zeros);
    job.save("sound", {static_cast<int64_t>(out.size() / 2), 2}, out.data());
}

// ids [tokens] -> states [layers + 1, tokens, hidden]
void text_encoder(Job & job) {
    const Model model = job.model();
    const std::unique_ptr<TextEncoder> encoder = open_text_encoder(model, job.device);
    encoder->load(Progress());
    const HiddenStates states = encoder->encode(job.array("ids").as<int32_t>("<i4"), Progress());
    const Tensor kept = states.values.tensor;
    std::vector<float> values(static_cast<size_t>(ggml_nelements(kept)));
    ggml_backend_tensor_get(kept, values.data(), 0, ggml_nbytes(kept));
    job.save("states", {states.states, states.tokens, states.width}, values.data());
}

// ids [tokens], of which the first `asked` are read at once -> logits [steps, vocabulary] after
// each further one; by reading all again, if it is to be done `anew`
void writer(Job & job) {
    const Model model = job.model();
    const std::unique_ptr<TextEncoder> encoder = open_text_encoder(model, job.device, true);
    encoder->load(Progress());
    const std::vector<int32_t> ids = job.array("ids").as<int32_t>("<i4");
    const auto asked = job.integer("asked", 1), room = static_cast<int>(ids.size());
    TextCache cache = encoder->cache(room);
    std::vector<float> all;
    for (int end = asked; end <= room; ++end) {
        const bool anew = end == asked || job.integer("anew", 0);
        if (anew)
            cache = encoder->cache(room);
        const std::vector<int32_t> some(ids.begin() + (anew ? 0 : end - 1), ids.begin() + end);
        const std::vector<float> logits = encoder->predict(some, cache, Progress());
        all.insert(all.end(), logits.begin(), logits.end());
    }
    const int64_t steps = room - asked + 1;
    job.save("logits", {steps, static_cast<int64_t>(all.size()) / steps}, all.data());
}

// question, a text -> answer in UTF-8, of so many tokens at most, always the likeliest
void answer(Job & job) {
    const Model model = job.model();
    const std::unique_ptr<TextEncoder> encoder = open_text_encoder(model, job.device, true);
    encoder->load(Progress());
    const Tokenizer tokenizer = Tokenizer::open(model.need(TextEncoder::part));
    const std::vector<int32_t> asked = tokenizer.encode_turn(job.text("question", ""));
    Writing how;
    how.temperature = 0, how.tokens = job.integer("tokens", 32);
    TextCache cache = encoder->cache(static_cast<int64_t>(asked.size()) + how.tokens);
    const auto predict = [&](const auto & ids) { return encoder->predict(ids, cache, Progress()); };
    const std::string text = write(asked, how, tokenizer, predict, [](const std::string &) {});
    job.save("answer", {static_cast<int64_t>(text.size())}, text.data(), "|u1");
}

// states as above -> context [rows, width], features [tokens, width]
template <class Kind>
void connect(Job & job) {
    const npy::Array given = job.array("states");
    const auto side = [&](size_t i) { return given.shape.at(i); };
    const std::vector<float> values = given.floats();
    HiddenStates states{static_cast<int>(side(0)), side(1), side(2),
                        job.device.keep(GGML_TYPE_F32, {side(2), side(1), side(0), 1})};
    ggml_backend_tensor_set(states.values.tensor, values.data(), 0, values.size() * sizeof(float));
    const Model model = job.model();
    Kind connector(model, job.device);
    connector.load(Progress());
    const TextFeatures text = connector.project(states, Progress());
    job.save("context", {text.rows, text.width}, text.values.data());
}

// context [rows, width], the video's or both side by side -> log_seconds
void duration(Job & job) {
    const Model model = job.model();
    DurationHead head(model, job.device);
    head.load(Progress());
    const float out = head.log_seconds(text_of(job, "context"), Progress());
    job.save("log_seconds", {1}, &out);
}

// MODEL is not read. seconds [n], rates [m] -> frames [n, m]
void lasting(Job & job) {
    const std::vector<float> seconds = job.floats("seconds"), rates = job.floats("rates");
    std::vector<int32_t> frames;
    for (const float s : seconds)
        for (const float rate : rates)
            frames.push_back(frames_lasting(s, rate, 8));
    job.save("frames", {static_cast<int64_t>(seconds.size()), static_cast<int64_t>(rates.size())},
             frames.data(), "<i4");
}

// MODEL is not read. file, one of the three kinds; strings, a JSON list; length -> ids, one after
// the other, and ends: string i's end before ends[i]. Of turns, if each is to be a `turn`.
void tokenizer(Job & job) {
    const std::string path = job.text("file", ""), strings = job.text("strings", "");
    const auto all = [](const std::string & name) {
        const Mapping mapping(name);
        return std::string(reinterpret_cast<const char *>(mapping.data()), mapping.size());
    };
    const std::string kind = std::filesystem::path(path).extension().string();
    const Tokenizer tokenizer =
        kind == ".gguf"   ? Tokenizer::from_gguf(read_gguf(path).metadata, path)
        : kind == ".json" ? Tokenizer::from_json(Json::parse(all(path), path), path)
                          : Tokenizer::from_sentencepiece(all(path), path);
    const Json list = Json::parse(all(strings), strings);
    std::vector<int32_t> ids, ends;
    for (const Json & text : list.array(strings)) {
        const std::vector<int32_t> one =
            job.integer("turn", 0)
                ? tokenizer.encode_turn(text.string(strings))
                : tokenizer.encode(text.string(strings), job.integer("length", 1024));
        ids.insert(ids.end(), one.begin(), one.end());
        ends.push_back(static_cast<int32_t>(ids.size()));
    }
    job.save("ids", ids);
    job.save("ends", ends);
}

// MODEL is not read. schedule, first, last: its sigmas for first..last steps, one after the other.
void schedule(Job & job) {
    std::vector<float> all;
    for (int steps = job.integer("first", 1); steps <= job.integer("last", 1); ++steps) {
        const std::vector<float> one = sigmas(job.text("schedule", ""), steps);
        all.insert(all.end(), one.begin(), one.end());
    }
    job.save("sigmas", {static_cast<int64_t>(all.size())}, all.data());
}

// MODEL is not read. cond, uncond, perturbed [tokens, channels] -> guided
void guidance(Job & job) {
    const auto number = [&](const char * name) { return std::stof(job.text(name, "0")); };
    const npy::Array cond = job.array("cond");
    const Guidance how = {number("scale"), number("stg"), number("rescale"), {}};
    const std::vector<float> guided = guide(
        how, {cond.floats(), job.array("uncond").floats(), job.array("perturbed").floats(), {}});
    job.save("guided", cond.shape, guided.data());
}

// MODEL is not read. sampler, sigmas; of streams "video" and "audio" NAME.latent and NAME.clean
// [tokens, channels], NAME.mask [tokens], NAME.noise [draws, tokens, channels] -> NAME.latent. In
// place of a model there is the formula that scripts/make_golden.py has.
void sample(Job & job) {
    const std::vector<std::string> names = {"video", "audio"};
    State state;
    std::vector<std::vector<float>> noises;
    for (const std::string & name : names) {
        const npy::Array latent = job.array(name + ".latent");
        Stream stream;
        stream.channels = static_cast<int>(latent.shape.at(1));
        stream.latents = latent.floats();
        stream.clean = job.array(name + ".clean").floats();
        stream.mask = job.array(name + ".mask").floats();
        state.push_back(std::move(stream));
        noises.push_back(job.array(name + ".noise").floats());
    }
    Stage stage;
    stage.sigmas = job.array("sigmas").floats();
    stage.guidance = {1, 0, 0, {}};
    stage.sampler = &find_sampler(job.text("sampler", ""));
    const auto velocity = [](const State & now, float sigma) {
        Velocities v;
        for (const Stream & stream : now) {
            std::vector<float> values = stream.latents;
            for (size_t i = 0; i < values.size(); ++i) {
                const float z = values[i], tau = stream.mask[i / stream.channels] * sigma;
                const float x0 = std::tanh(0.8f * z + 0.3f) * (1 - 0.5f * sigma) + 0.1f * sigma;
                values[i] = tau > 0 ? (z - x0) / tau : 0;
            }
            v.plain.push_back(std::move(values));
        }
        return v;
    };
    const auto noise = [&](int draw, size_t stream) {
        const size_t size = state[stream].latents.size();
        const auto first = noises[stream].begin() + static_cast<ptrdiff_t>(draw * size);
        return std::vector<float>(first, first + static_cast<ptrdiff_t>(size));
    };
    denoise(state, stage, Progress(), velocity, noise);
    for (size_t s = 0; s < state.size(); ++s)
        job.save(names[s] + ".latent", {state[s].tokens(), state[s].channels},
                 state[s].latents.data());
}

// MODEL is not read. frames, last -> spread: of 1..last keyframes, one after the other; canvas: the
// numbers of scripts/golden_dfr.py's layouts.
void layout(Job & job) {
    std::vector<int32_t> all;
    for (int count = 1; count <= job.integer("last", 1); ++count)
        for (int frame : spread_frames(count, job.integer("frames", 0)))
            all.push_back(frame);
    job.save("spread", all);
    Canvas canvas = canvas_for(job.integer("frames", 0), Scale());
    const int segment = canvas.segment;
    all = {canvas.frames, segment};
    const auto add = [&](const auto & more) { all.insert(all.end(), more.begin(), more.end()); };
    add(canvas.borders());
    for (int tiles : {2, 4}) {
        canvas = {2 * canvas.frames - 1, 2 * segment};
        for (const Tile & tile : tiles_of(canvas, tiles, Scale())) {
            add(std::vector<int>{tile.first, tile.end, tile.lead});
            add(tile.anchors);
            add(tile.slots);
        }
    }
    job.save("canvas", all);
}

using Component = void (*)(Job &);
const std::map<std::string, Component> components = {
    {"text-encoder", text_encoder},
    {"connector", connect<Connector>},
    {"audio-connector", connect<AudioConnector>},
    {"duration", duration},
    {"lasting", lasting},
    {"writer", writer},
    {"answer", answer},
    {"tokenizer", tokenizer},
    {"image", image},
    {"vae-encode", vae_encode},
    {"vae-decode", vae_decode},
    {"vae-stream", vae_stream},
    {"upsample", upsample},
    {"audio-encode", audio_encode},
    {"audio-decode", audio_decode},
    {"vocode", vocode},
    {"mel", mel},
    {"resample", resampled},
    {"dit", dit},
    {"guidance", guidance},
    {"schedule", schedule},
    {"layout", layout},
    {"sample", sample},
};

} // namespace

int main(int argc, char ** argv) {
    const auto component = argc < 4 ? components.end() : components.find(argv[1]);
    if (component == components.end()) {
        std::fprintf(stderr, "usage: ltx2_tap COMPONENT MODEL[,MODEL...] OUT [name=value ...]\n");
        return 2;
    }
    try {
        Job job(argc, argv);
        component->second(job);
        return 0;
    } catch (const Error & e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}

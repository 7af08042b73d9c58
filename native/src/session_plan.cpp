// What a call would take: it is run on graphs that are built, and not computed.
#include "session.h"

#include "base/log.h"
#include "sampling/recipes.h"

#include <algorithm>
#include <utility>

namespace ltx2 {

// What low_memory keeps to, where the process may take as much.
static constexpr uint64_t low_memory_limit = uint64_t{2} << 30;

// A run wants its largest component in memory beside what it computes: where there is less, the
// system would drop weights just before they are needed again.
void Session::choose_residency(const Grid & grid) {
    Residency & residency = device_.residency;
    const bool was_said = residency.counts_cache();
    residency = {keep_loaded_, no_limit};
    if (processor_)
        processor_->residency = {keep_loaded_, low_memory_ ? low_memory_limit : no_limit};
    const uint64_t have = device_.memory() ? device_.memory() : no_limit;
    const uint64_t wanted = weights_ + Residency::reserve + block_bytes(grid);
    if (low_memory_) {
        residency.limit = std::min(have, low_memory_limit);
    } else if (!keep_loaded_ && device_.shares_memory() && have < wanted) {
        residency.limit = have;
        if (was_said)
            return;
        log(Level::info,
            "memory: a run wants %.0f MiB, and this process may take %.0f: weights are read ahead "
            "and given back, as with low_memory",
            static_cast<double>(wanted) / (1 << 20), static_cast<double>(have) / (1 << 20));
    }
}

// What a block holds at least: the hidden state, its rotary table, and queries, keys, values and
// their mean.
uint64_t Session::block_bytes(const Grid & grid) const {
    return 6 * sizeof(float) * static_cast<uint64_t>(width_) * static_cast<uint64_t>(grid.cells());
}

// What a run holds at least: a block's values, and the frames where they lie in the same memory.
double Session::least_bytes(const Request & want) const {
    const size_t frames = device_.shares_memory() ? size_of(want.result()).values() : 0;
    return std::max(static_cast<double>(block_bytes(want.largest())), static_cast<double>(frames));
}

// Then it need not be counted, which would take long.
bool Session::is_hopeless(const Request & want) const {
    const double have = static_cast<double>(device_.memory());
    return have > 0 && least_bytes(want) > have;
}

// Counting takes as long as a small video, so it is left out where a rough figure is enough: with
// what is not counted, so much suffices for what takes `rough` bytes at most.
static bool surely_fits(double rough, double have) {
    return have == 0 || rough + (size_t{2} << 30) < have;
}

void Session::check_memory(const Request & want, const Progress & progress) {
    const double have = static_cast<double>(device_.memory()), least = least_bytes(want);
    if (surely_fits(8 * least, have))
        return;
    const double needed =
        is_hopeless(want) ? least : static_cast<double>(needs(count(want, progress)));
    if (needed <= have)
        return;
    const std::optional<VideoSize> fits = nearest(want, progress);
    fail_too_large(
        size_of(want.result()), needed, have,
        fits ? words("; %d frames of %d x %d would fit", fits->frames, fits->width, fits->height)
             : "; no size of this shape would fit");
}

// The same of what makes no whole video.
void Session::check_memory(const std::string & what, double rough, const Progress & progress,
                           const Run & run) {
    const double have = static_cast<double>(device_.memory());
    if (surely_fits(rough, have))
        return;
    const double needed = static_cast<double>(needs(counted(progress, run)));
    if (needed > have)
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %s needs %.0f MiB, and there are %.0f MiB",
             what.c_str(), needed / (1 << 20), have / (1 << 20));
}

// Where a count goes, and whose it is.
struct Counter {
    Tally & tally;
    const Progress & caller;
};

// The stages of a count are not the caller's, who is asked all the same whether it shall go on.
static bool begin_stage(const ltx2_progress * progress, void * counter) {
    const auto & [tally, caller] = *static_cast<const Counter *>(counter);
    tally.begin(progress->stage);
    return !caller.stop_wanted();
}

// What is in memory, put aside: counting has components of its own.
struct Session::Aside {
    Session & session;
    decltype(Session::resident_) resident = std::exchange(session.resident_, {});
    ~Aside() {
        session.resident_ = std::move(resident);
        session.in_use_ = nullptr;
    }
};

// What a run would take that does not compute.
Tally Session::counted(const Progress & progress, const Run & run) {
    Tally tally;
    Counter counter{tally, progress};
    const Device::Counting counting(device_, tally);
    const Aside aside{*this};
    in_use_ = nullptr;
    progress("load", 0, 1); // it comes before that
    try {
        run(Progress(begin_stage, &counter));
    } catch (const Error & e) {
        if (e.status() == LTX2_STATUS_CANCELLED && progress.stop_wanted())
            progress.fail_stopped(); // in the caller's words
        throw;
    }
    return tally;
}

// The stages of `make`.
Tally Session::count(const Request & want, const Progress & caller) {
    return counted(caller, [&](const Progress & progress) {
        const std::vector<TextFeatures> texts = encode(want, progress);
        const Counted features =
            device_.hold(texts.size() * texts[0].values.size() * sizeof(float));
        const Sampled made = sample(want, texts, progress);
        Video none;
        decode(made.video, want.seed, none, progress);
        if (want.audio && !made.sound_is_given && counts_sound())
            decode_sound(made.audio, none, progress);
    });
}

// The question and one token of the answer: the further ones are alike.
void Session::check_writing(size_t prompt, int64_t room, const Progress & caller) {
    const double rough = static_cast<double>(weights_) + 1e6 * static_cast<double>(room);
    check_memory("enhancing a prompt", rough, caller, [&](const Progress & progress) {
        TextEncoder & encoder = writer(progress);
        TextCache cache = encoder.cache(room);
        encoder.predict(std::vector<int32_t>(prompt), cache, progress);
        encoder.predict({0}, cache, progress);
    });
}

// Fewer frames first, then a smaller picture of the same shape with as many of them as fit; of
// sizes that the recipe can make. As the video is that is made, with its frames doubled.
std::optional<VideoSize> Session::nearest(const Request & want, const Progress & progress) {
    const Scale & scale = decoder_.scale;
    const Grid & grid = want.grid;
    const Recipe & recipe = find_recipe(want.recipe);
    int step = 1; // of rows and columns
    for (const RecipeStage & stage : recipe.stages)
        step = std::max(step, stage.divisor);
    const auto size = [&](int frames, int steps) {
        const int columns = (grid.width * steps + grid.height / 2) / grid.height;
        return size_of({frames, steps * step, std::max(1, columns) * step});
    };
    const auto fits = [&](const VideoSize & size) {
        const bool has_sides =
            std::min(size.height, size.width) >= decoder_.least_side() * scale.space;
        if (!has_sides)
            return false;
        const Request other = want.resized(size, scale);
        return !is_hopeless(other) && needs(count(other, progress)) <= device_.memory();
    };
    const auto made = [&](VideoSize size) {
        size.frames = want.doubled(size.frames);
        return size;
    };
    // The largest of 1..most that fits, 0: none.
    const auto most_of = [](int most, const auto & fits) {
        int below = 0;
        for (int above = most + 1; above - below > 1;) {
            const int middle = below + (above - below) / 2;
            (fits(middle) ? below : above) = middle;
        }
        return below;
    };
    const int few = std::min(grid.frames, 4), all = grid.height / step;
    const int frames = most_of(grid.frames, [&](int n) { return fits(size(n, all)); });
    if (frames >= few)
        return made(size(frames, all));
    const int steps = most_of(all, [&](int n) { return fits(size(few, n)); });
    if (steps)
        return made(size(most_of(grid.frames, [&](int n) { return fits(size(n, steps)); }), steps));
    return {};
}

Plan Session::weigh(const Request & want, const std::string & speeds, const Progress & progress) {
    Plan plan{count(want, progress), speeds_of(speeds), /*busy=*/false, device_.memory()};
    for (const Tally::Stage & stage : plan.tally.stages)
        plan.busy = !calibrate(device_, stage.work, plan.speeds, progress) || plan.busy;
    return plan;
}

Json Session::plan(const ltx2_video_params & params, const std::string & speeds) {
    const Leave leave{*this};
    return while_unchanged(model_, [&] {
        const Progress progress(params.progress, params.user_data, &closed_);
        Request want = request(params, progress);
        const bool assumed = want.length_is_open; // a prompt is not encoded for a plan
        if (assumed) {
            ltx2_video_params usual = params;
            usual.frames = std::max(defaults_.frames, want.frames);
            want = request(usual, progress);
        }
        if (is_hopeless(want))
            check_memory(want, progress); // which says what would fit
        const Plan plan = weigh(want, speeds, progress);
        const std::optional<VideoSize> other =
            plan.fits() ? std::optional<VideoSize>() : nearest(want, progress);
        Json out = plan_json(plan, want, other ? &*other : nullptr);
        if (assumed)
            out.set("frames_assumed", true);
        return out;
    });
}

} // namespace ltx2

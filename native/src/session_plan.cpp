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

// Counting takes as long as a small video, so it is left out where a rough figure is enough.
void Session::check_memory(const Request & want) {
    const size_t have = device_.memory();
    const double block = static_cast<double>(block_bytes(want.largest()));
    if (!have || 8 * block + (size_t{2} << 30) < static_cast<double>(have))
        return;
    const bool hopeless = block > static_cast<double>(have);
    const double needed = hopeless ? block : static_cast<double>(needs(count(want)));
    if (needed <= static_cast<double>(have))
        return;
    const std::optional<VideoSize> fits = nearest(want);
    fail_too_large(
        want.size(), needed, static_cast<double>(have),
        fits ? words("; %d frames of %d x %d would fit", fits->frames, fits->width, fits->height)
             : "; no size of this shape would fit");
}

static bool begin_stage(const ltx2_progress * progress, void * tally) {
    static_cast<Tally *>(tally)->begin(progress->stage);
    return true;
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
Tally Session::counted(const std::function<void(const Progress & progress)> & run) {
    Tally tally;
    const Device::Counting counting(device_, tally);
    const Aside aside{*this};
    in_use_ = nullptr;
    run(Progress(begin_stage, &tally, &closed_));
    return tally;
}

// The stages of `make`.
Tally Session::count(const Request & want) {
    return counted([&](const Progress & progress) {
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
void Session::check_writing(size_t prompt, int64_t room) {
    const Tally tally = counted([&](const Progress & progress) {
        TextEncoder & encoder = writer(progress);
        TextCache cache = encoder.cache(room);
        encoder.predict(std::vector<int32_t>(prompt), cache, progress);
        encoder.predict({0}, cache, progress);
    });
    const double have = static_cast<double>(device_.memory());
    const double needed = static_cast<double>(needs(tally));
    if (have > 0 && needed > have)
        fail(LTX2_STATUS_OUT_OF_MEMORY,
             "memory: enhancing a prompt needs %.0f MiB, and there are %.0f MiB",
             needed / (1 << 20), have / (1 << 20));
}

// Fewer frames first, then a smaller picture of the same shape with as many of them as fit; of
// sizes that the recipe can make.
std::optional<VideoSize> Session::nearest(const Request & want) {
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
        return has_sides && needs(count(want.resized(size, scale))) <= device_.memory();
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
        return size(frames, all);
    const int steps = most_of(all, [&](int n) { return fits(size(few, n)); });
    if (steps)
        return size(most_of(grid.frames, [&](int n) { return fits(size(n, steps)); }), steps);
    return {};
}

Plan Session::weigh(const Request & want, const std::string & speeds, const Progress & progress) {
    Plan plan{count(want), speeds_of(speeds), /*busy=*/false, device_.memory()};
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
        const Plan plan = weigh(want, speeds, progress);
        const std::optional<VideoSize> other =
            plan.fits() ? std::optional<VideoSize>() : nearest(want);
        Json out = plan_json(plan, want, other ? &*other : nullptr);
        if (assumed)
            out.set("frames_assumed", true);
        return out;
    });
}

} // namespace ltx2

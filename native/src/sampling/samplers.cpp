// The official loops of ltx-pipelines 1.0.0 and 1.2.0, in F32 where they have the model's type, in
// double where they have that.
#include "sampling/samplers.h"

#include "base/named.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace ltx2 {

// ---- what all of them do

// x0 = z - tau v, tau = mask * sigma per token; empty where there was no such pass.
static std::vector<float> predict(const Stream & stream, float sigma,
                                  std::vector<std::vector<float>> & velocities, size_t which) {
    if (velocities.empty())
        return {};
    std::vector<float> values = std::move(velocities[which]);
    for (int64_t t = 0; t < stream.tokens(); ++t) {
        const float tau = stream.mask[t] * sigma;
        for (int64_t i = t * stream.channels; i < (t + 1) * stream.channels; ++i)
            values[i] = stream.latents[i] - tau * values[i];
    }
    return values;
}

// What is given is imposed again; with mask 0 it stays exactly.
template <class T>
static void impose(const Stream & stream, std::vector<T> & values) {
    for (int64_t t = 0; t < stream.tokens(); ++t)
        for (int64_t i = t * stream.channels; i < (t + 1) * stream.channels; ++i)
            values[i] = values[i] * stream.mask[t] + stream.clean[i] * (1 - stream.mask[t]);
}

Sampling::Sampling(State & state, const Stage & stage, const Progress & progress,
                   const VelocityFn & velocity, const NoiseFn & noise, const StepFn & stepped)
    : state(state), stage(stage), progress_(progress), velocity_(velocity), noise_(noise),
      stepped_(stepped) {}

void Sampling::begin(int step) const { stage.report(progress_, step); }

Sampling::Values Sampling::predict(const State & now, float sigma) const {
    Velocities v = velocity_(now, sigma);
    Values all;
    for (size_t s = 0; s < now.size(); ++s) {
        const Passes passes = {ltx2::predict(now[s], sigma, v.plain, s),
                               ltx2::predict(now[s], sigma, v.negative, s),
                               ltx2::predict(now[s], sigma, v.perturbed, s),
                               ltx2::predict(now[s], sigma, v.isolated, s)};
        all.push_back(guide(s == 0 ? stage.guidance : stage.audio_guidance, passes));
        impose(now[s], all.back());
    }
    return all;
}

void Sampling::end(int step, const Values & predicted) const {
    if (stepped_)
        stepped_(step + 1, predicted[0]);
}

// ---- Euler, of several kinds

static void euler_step(std::vector<float> & z, const std::vector<float> & x0, float sigma,
                       float next) {
    for (size_t i = 0; i < z.size(); ++i)
        z[i] += (z[i] - x0[i]) / sigma * (next - sigma);
}

static void euler(const Sampling & s) {
    for (int i = s.stage.first; i < s.stage.steps(); ++i) {
        s.begin(i);
        const float sigma = s.stage.sigmas[i];
        const Sampling::Values x0 = s.predict(s.state, sigma);
        for (size_t k = 0; k < s.state.size(); ++k)
            euler_step(s.state[k].latents, x0[k], sigma, s.stage.sigmas[i + 1]);
        s.end(i, x0);
    }
}

// Each step's velocity is carried on by what it changed since the step before, twice: half as many
// steps do. The last velocity is in the stream's memory. https://openreview.net/pdf?id=o2ND9v0CeK
static void gradient_estimation(const Sampling & s) {
    constexpr float gamma = 2;
    for (int i = s.stage.first; i < s.stage.steps(); ++i) {
        s.begin(i);
        const float sigma = s.stage.sigmas[i], next = s.stage.sigmas[i + 1];
        const Sampling::Values predicted = s.predict(s.state, sigma);
        for (size_t k = 0; k < s.state.size(); ++k) {
            Stream & stream = s.state[k];
            if (next == 0) {
                stream.latents = predicted[k];
                continue;
            }
            std::vector<float> x0 = predicted[k], velocity(x0.size());
            for (size_t j = 0; j < x0.size(); ++j) {
                velocity[j] = (stream.latents[j] - x0[j]) / sigma;
                if (stream.memory.empty())
                    continue;
                const float before = stream.memory[j];
                x0[j] = stream.latents[j] - (gamma * (velocity[j] - before) + before) * sigma;
            }
            stream.memory = std::move(velocity);
            euler_step(stream.latents, x0, sigma, next);
        }
        s.end(i, predicted);
    }
}

// As far as it falls below the next noise level, fresh noise is added. Tiles have what is given
// imposed after the last step too, as diffusers' DFR pipelines do.
static void ancestral_euler(const Sampling & s) {
    const double eta = s.stage.fresh;
    for (int i = s.stage.first; i < s.stage.steps(); ++i) {
        s.begin(i);
        const double sigma = s.stage.sigmas[i], next = s.stage.sigmas[i + 1];
        const Sampling::Values x0 = s.predict(s.state, s.stage.sigmas[i]);
        const double down = next * (1 + (next / sigma - 1) * eta), keep = down / sigma;
        const double scale = (1 - next) / (1 - down);
        const double fresh = std::sqrt(std::max(0.0, next * next - down * down * scale * scale));
        for (size_t k = 0; k < s.state.size(); ++k) {
            Stream & stream = s.state[k];
            if (next == 0) {
                stream.latents = x0[k];
                if (s.stage.tiles)
                    impose(stream, stream.latents);
                continue;
            }
            const std::vector<float> noise = s.noise(i, k);
            for (size_t j = 0; j < noise.size(); ++j) {
                const double x = keep * stream.latents[j] + (1 - keep) * x0[k][j];
                stream.latents[j] = static_cast<float>(scale * x + fresh * noise[j]);
            }
            impose(stream, stream.latents);
        }
        s.end(i, x0);
    }
}

// ---- res_2s: two evaluations a step, in the logarithm of sigma, with noise after each

using Doubles = std::vector<double>;

static double phi1(double x) { return std::abs(x) < 1e-10 ? 1 : (std::exp(x) - 1) / x; }
static double phi2(double x) { return std::abs(x) < 1e-10 ? 0.5 : (std::exp(x) - 1 - x) / (x * x); }

// Of mean 0 and deviation 1, made so twice, as the official code does.
static Doubles standardised(const std::vector<float> & noise) {
    Doubles values(noise.begin(), noise.end());
    for (int round = 0; round < 2; ++round) {
        double sum = 0, squares = 0;
        for (double v : values)
            sum += v;
        const double count = static_cast<double>(values.size()), mean = sum / count;
        for (double v : values)
            squares += (v - mean) * (v - mean);
        const double deviation = std::sqrt(squares / std::max(1.0, count - 1));
        for (double & v : values)
            v = deviation > 0 ? (v - mean) / deviation : 0;
    }
    return values;
}

// From `from` at `sigma` towards `to` at `next`, with fresh noise in place of part of the old.
static Doubles with_noise(const Stream & stream, const Doubles & from, Doubles to, double sigma,
                          double next, const std::vector<float> & noise) {
    constexpr double eta = 0.5;
    const double up = std::min(eta * next, 0.9999 * next);
    if (next != 0 && up != 0) {
        const double rest = std::sqrt(next * next - up * up), alpha = 1 - next + rest;
        const Doubles fresh = standardised(noise);
        for (size_t i = 0; i < to.size(); ++i) {
            const double slope = (from[i] - to[i]) / (sigma - next);
            const double x0 = from[i] - sigma * slope;
            to[i] = alpha * (x0 + rest / alpha * slope) + up * fresh[i];
        }
    }
    impose(stream, to);
    return to;
}

static Doubles difference(const std::vector<float> & a, const Doubles & b) {
    Doubles out(a.begin(), a.end());
    for (size_t i = 0; i < out.size(); ++i)
        out[i] -= b[i];
    return out;
}

static std::vector<float> rounded(const Doubles & values) {
    return std::vector<float>(values.begin(), values.end());
}

// One stream on its way through a step.
struct HalfStep {
    Doubles anchor, first; // where the step began, and where the model pointed from there
    std::vector<float> predicted;
};

// To the middle of the step.
static HalfStep to_middle(Stream & stream, const std::vector<float> & predicted, double sigma,
                          double middle, double h, double a21, const std::vector<float> & noise) {
    HalfStep half;
    half.predicted = predicted;
    half.anchor.assign(stream.latents.begin(), stream.latents.end());
    half.first = difference(predicted, half.anchor);
    Doubles x = half.anchor;
    for (size_t i = 0; i < x.size(); ++i)
        x[i] += h * a21 * half.first[i];
    x = with_noise(stream, half.anchor, std::move(x), sigma, middle, noise);
    // The anchor moves to where this middle would have come from without noise.
    for (int round = 0; round < 100 && h < 0.5 && sigma > 0.03; ++round) {
        for (size_t i = 0; i < x.size(); ++i)
            half.anchor[i] = x[i] - h * a21 * half.first[i];
        half.first = difference(predicted, half.anchor);
    }
    stream.latents = rounded(x);
    return half;
}

// From there, with what the model says in the middle.
static void to_end(Stream & stream, const HalfStep & half, const std::vector<float> & predicted,
                   double sigma, double next, double h, const std::vector<float> & noise) {
    const double b2 = 2 * phi2(-h), b1 = phi1(-h) - b2;
    const Doubles second = difference(predicted, half.anchor);
    Doubles x = half.anchor;
    for (size_t i = 0; i < x.size(); ++i)
        x[i] += h * (b1 * half.first[i] + b2 * second[i]);
    stream.latents = rounded(with_noise(stream, half.anchor, std::move(x), sigma, next, noise));
}

static void res_2s(const Sampling & s) {
    // In place of 0, whose logarithm there is not; below a level that is itself so low, half of it.
    constexpr float least = 0.0011f;
    for (int i = s.stage.first; i < s.stage.steps(); ++i) {
        s.begin(i);
        const bool last = s.stage.sigmas[i + 1] == 0;
        const double sigma = s.stage.sigmas[i];
        const double next = last ? std::min<double>(least, sigma / 2) : s.stage.sigmas[i + 1];
        const double h = -std::log(next / sigma), middle = std::sqrt(sigma * next);
        const double a21 = 0.5 * phi1(-h / 2);
        Sampling::Values x0 = s.predict(s.state, static_cast<float>(sigma));
        std::vector<HalfStep> halves;
        for (size_t k = 0; k < s.state.size(); ++k)
            halves.push_back(
                to_middle(s.state[k], x0[k], sigma, middle, h, a21, s.noise(2 * i, k)));
        x0 = s.predict(s.state, static_cast<float>(middle));
        for (size_t k = 0; k < s.state.size(); ++k)
            to_end(s.state[k], halves[k], x0[k], sigma, next, h, s.noise(2 * i + 1, k));
        if (last) {
            x0 = s.predict(s.state, static_cast<float>(next));
            for (size_t k = 0; k < s.state.size(); ++k)
                s.state[k].latents = x0[k];
        }
        s.end(i, x0);
    }
}

// ---- the list

const std::vector<Sampler> & samplers() {
    static const std::vector<Sampler> all = {{"euler", euler},
                                             {"gradient_estimation", gradient_estimation},
                                             {"ancestral_euler", ancestral_euler},
                                             {"res_2s", res_2s}};
    return all;
}

const Sampler & find_sampler(std::string_view name) {
    return find_known("sampler", samplers(), name);
}

} // namespace ltx2

// A categorical distribution, drawn from by inverse CDF in double: engines whose logits differ by rounding then draw the
// same code from the same uniform.
#pragma once

#include <algorithm>

#include "output.h"
#include "vectors.h"

class Softmax final : public Output {
public:
    // amplitudes: of all codes, float [levels].
    Softmax(int levels, double temperature, double top_p, const float* amplitudes)
        : levels_(levels), temperature_(temperature), top_p_(top_p), amplitudes_(amplitudes) {}

    float amplitude(int32_t code) const override { return amplitudes_[code]; }

    int64_t room() const override { return padded() * sizeof(double) + levels_ * sizeof(int); }

    // The first code whose cumulative probability exceeds the uniform.
    int32_t draw(const float* logits, double uniform, void* room) const override {
        double* const probabilities = static_cast<double*>(room);
        float highest = logits[0];
        for (int i = 1; i < levels_; i++) highest = std::max(highest, logits[i]);
        for (int i = 0; i < levels_; i += DOUBLE_LANES) {
            Doubles x;
            for (int j = 0; j < DOUBLE_LANES; j++)
                x[j] = i + j < levels_ ? (double(logits[i + j]) - highest) / temperature_ : -1e300;
            store(probabilities + i, exponential(x));
        }
        // Of logits that are NaN, as of a net that diverged, nothing can be drawn: they count as impossible.
        for (int i = 0; i < levels_; i++) probabilities[i] = probabilities[i] >= 0 ? probabilities[i] : 0;
        if (top_p_ < 1) keep_most_probable(probabilities, reinterpret_cast<int*>(probabilities + padded()));

        Doubles sums = {};
        for (int i = 0; i < levels_; i += DOUBLE_LANES) sums += load<Doubles>(probabilities + i);
        double total = 0;
        for (int j = 0; j < DOUBLE_LANES; j++) total += sums[j];
        const double threshold = uniform * total;
        double cumulative = 0;
        int possible = levels_ - 1;
        for (int i = 0; i < levels_; i++) {
            cumulative += probabilities[i];
            if (cumulative > threshold) return i;
            if (probabilities[i] > 0) possible = i;
        }
        return possible;
    }

private:
    static constexpr int DOUBLE_LANES = VECTOR_BYTES / sizeof(double);

    int64_t padded() const { return levels_ + DOUBLE_LANES; }

    // Sets to zero all but the most probable codes that together reach top_p.
    void keep_most_probable(double* probabilities, int* order) const {
        double total = 0;
        for (int i = 0; i < levels_; i++) total += probabilities[i], order[i] = i;
        std::sort(order, order + levels_, [&](int a, int b) {
            return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
        });
        double before = 0;
        for (int i = 0; i < levels_; i++) {
            double& probability = probabilities[order[i]];
            const double kept = before >= top_p_ * total ? 0 : probability;
            before += probability;
            probability = kept;
        }
    }

    int levels_;
    double temperature_, top_p_;
    const float* amplitudes_;
};

// Draws of a categorical distribution by inverse CDF, in double: engines whose logits differ by rounding then draw the
// same code from the same uniform.
#pragma once

#include <algorithm>

#include "vectors.h"

inline constexpr int DOUBLE_LANES = VECTOR_BYTES / sizeof(double);

struct Draw {
    double temperature, top_p;

    // The first code whose cumulative probability exceeds the uniform.
    //
    // logits: float [levels]; probabilities: room for double [levels], in whole vectors, and order for int [levels].
    int code(const float* logits, int levels, double uniform, double* probabilities, int* order) const {
        float highest = logits[0];
        for (int i = 1; i < levels; i++) highest = std::max(highest, logits[i]);
        for (int i = 0; i < levels; i += DOUBLE_LANES) {
            Doubles x;
            for (int j = 0; j < DOUBLE_LANES; j++)
                x[j] = i + j < levels ? (double(logits[i + j]) - highest) / temperature : -1e300;
            store(probabilities + i, exponential(x));
        }
        // Of logits that are not numbers, as of a net that diverged, nothing can be drawn: they count as impossible.
        for (int i = 0; i < levels; i++) probabilities[i] = probabilities[i] >= 0 ? probabilities[i] : 0;
        if (top_p < 1) keep_most_probable(levels, probabilities, order);

        Doubles sums = {};
        for (int i = 0; i < levels; i += DOUBLE_LANES) sums += load<Doubles>(probabilities + i);
        double total = 0;
        for (int j = 0; j < DOUBLE_LANES; j++) total += sums[j];
        const double threshold = uniform * total;
        double cumulative = 0;
        int possible = levels - 1;
        for (int i = 0; i < levels; i++) {
            cumulative += probabilities[i];
            if (cumulative > threshold) return i;
            if (probabilities[i] > 0) possible = i;
        }
        return possible;
    }

private:
    // Sets to zero all but the most probable codes that together reach top_p.
    void keep_most_probable(int levels, double* probabilities, int* order) const {
        double total = 0;
        for (int i = 0; i < levels; i++) total += probabilities[i], order[i] = i;
        std::sort(order, order + levels, [&](int a, int b) {
            return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
        });
        double before = 0;
        for (int i = 0; i < levels; i++) {
            double& probability = probabilities[order[i]];
            const double kept = before >= top_p * total ? 0 : probability;
            before += probability;
            probability = kept;
        }
    }
};

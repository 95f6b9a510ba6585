// A mixture of logistic or normal distributions over amplitudes, in steps of 16-bit audio. One uniform number chooses the
// component, and what remains of it the amplitude; in double, as in softmax.h.
#pragma once

#include <algorithm>
#include <cmath>

#include "output.h"

// Inverse of the logistic function.
struct Logistic {
    static double quantile(double p) { return std::log(p / (1 - p)); }
};

// Inverse of the normal distribution function: a rational approximation (Abramowitz and Stegun 26.2.23), and two steps
// of Halley's method towards the root of erfc.
struct Gaussian {
    static double quantile(double p) {
        const double tail = std::min(p, 1 - p), t = std::sqrt(-2 * std::log(tail));
        double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                           (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
        for (int step = 0; step < 2; step++) {
            const double density = std::exp(-0.5 * x * x) * 0.3989422804014327;
            const double newton = (0.5 * std::erfc(x * 0.7071067811865476) - tail) / density;
            x += newton / (1 - 0.5 * x * newton);
        }
        return p < 0.5 ? -x : x;
    }
};

template <class Shape>
class Mixture final : public Output {
public:
    // unit: in which means count; narrowest, widest: between which log-scales are kept.
    Mixture(int components, double unit, double narrowest, double widest, double temperature)
        : components_(components),
          unit_(unit),
          narrowest_(narrowest),
          widest_(widest),
          temperature_(temperature) {}

    float amplitude(int32_t code) const override { return float(code - HALF) / HALF; }

    int64_t room() const override { return components_ * sizeof(double); }

    int32_t draw(const float* parameters, double uniform, void* room) const override {
        const float* const means = parameters + (components_ > 1 ? components_ : 0);
        double within = uniform;
        const int k = components_ > 1 ? choose(parameters, static_cast<double*>(room), within) : 0;
        within = std::clamp(within, 0x1p-53, 1 - 0x1p-53);
        const double log_scale = std::clamp(double(means[components_ + k]), narrowest_, widest_);
        const double x = unit_ * means[k] + temperature_ * std::exp(log_scale) * Shape::quantile(within);
        if (std::isnan(x)) return HALF;
        return int32_t(std::clamp(std::floor(x * HALF + 0.5), -double(HALF), double(HALF - 1))) + HALF;
    }

private:
    static constexpr int HALF = 32768;

    // A component, and the place of the uniform within its weight.
    int choose(const float* logits, double* weights, double& within) const {
        const double highest = *std::max_element(logits, logits + components_);
        double total = 0;
        for (int k = 0; k < components_; k++) total += weights[k] = std::exp((logits[k] - highest) / temperature_);
        const double threshold = within * total;
        double until = 0;
        int k = -1;
        do until += weights[++k];
        while (k + 1 < components_ && until <= threshold);
        within = 1 - (until - threshold) / weights[k];
        return k;
    }

    int components_;
    double unit_, narrowest_, widest_, temperature_;
};

// All outputs; outputs.py has the same kinds in the same order.
#pragma once

#include <memory>

#include "mixture.h"
#include "softmax.h"

enum OutputKind : int32_t { SOFTMAX, LOGISTIC_MIXTURE, GAUSSIAN_MIXTURE };

// options, constants: what the kind reads of them is said in outputs.py. Null for a kind that there is not.
inline std::unique_ptr<Output> make_output(int32_t kind, const double* options, const float* constants) {
    const int count = int(options[0]);
    switch (kind) {
        case SOFTMAX: return std::make_unique<Softmax>(count, options[1], options[2], constants);
        case LOGISTIC_MIXTURE:
            return std::make_unique<Mixture<Logistic>>(count, options[1], options[2], options[3], options[4]);
        case GAUSSIAN_MIXTURE:
            return std::make_unique<Mixture<Gaussian>>(count, options[1], options[2], options[3], options[4]);
        default: return nullptr;
    }
}

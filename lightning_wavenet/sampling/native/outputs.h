// All outputs; outputs.py has the same kinds in the same order.
#pragma once

#include <memory>

#include "softmax.h"

enum OutputKind : int32_t { SOFTMAX };

// options, constants: what the kind reads of them is said in outputs.py. Null for a kind that there is not.
inline std::unique_ptr<Output> make_output(int32_t kind, const double* options, const float* constants) {
    switch (kind) {
        case SOFTMAX: return std::make_unique<Softmax>(int(options[0]), options[1], options[2], constants);
        default: return nullptr;
    }
}

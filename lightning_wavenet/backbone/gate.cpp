// The gate z = tanh(f) sigmoid(g) of equation (2) and its derivative, in one pass over memory each.
#include <cstdint>

#include "vectors.h"

namespace {

struct BFloat16 {
    uint16_t bits;
};
typedef uint16_t HalfWords __attribute__((vector_size(VECTOR_BYTES / 2)));

inline Floats read(const float* from) { return load<Floats>(from); }

inline Floats read(const BFloat16* from) {
    return bits<Floats>(__builtin_convertvector(load<HalfWords>(from), Words) << 16);
}

inline void write(float* to, Floats v) { store(to, v); }

inline void write(BFloat16* to, Floats v) {
    // To the nearest, ties to even; what is not a number must not be rounded to infinity.
    const Words w = bits<Words>(v);
    const Words rounded = w + (0x7fffu + ((w >> 16) & 1u));
    store(to, __builtin_convertvector((v == v ? rounded : w | 0x400000u) >> 16, HalfWords));
}

struct Gate {
    Floats filter, gate;
};

// tanh(f) and sigmoid(g) with one division.
inline Gate evaluate(Floats f, Floats g) {
    const Floats a = exponential(clamp(f * -2.0f, -80.0f, 40.0f)), b = exponential(clamp(-g, -80.0f, 40.0f));
    const Floats inverse = 1.0f / ((1.0f + a) * (1.0f + b));
    // What is not a number stays so: a net that has blown up must be seen to have.
    return {f == f ? (1.0f - a) * (1.0f + b) * inverse : f, g == g ? (1.0f + a) * inverse : g};
}

template <class T>
void forward(const T* both, T* z, int64_t rows, int half, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < rows; row++) {
        const T* f = both + row * 2 * half;
        for (int i = 0; i < half; i += LANES) {
            const Gate at = evaluate(read(f + i), read(f + half + i));
            write(z + row * half + i, at.filter * at.gate);
        }
    }
}

template <class T>
void backward(const T* both, const T* z_gradient, T* gradient, T* z, int64_t rows, int half, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < rows; row++) {
        const T* f = both + row * 2 * half;
        T* to = gradient + row * 2 * half;
        for (int i = 0; i < half; i += LANES) {
            const Gate at = evaluate(read(f + i), read(f + half + i));
            const Floats upstream = read(z_gradient + row * half + i);
            write(to + i, upstream * at.gate * (1.0f - at.filter * at.filter));
            write(to + half + i, upstream * at.filter * at.gate * (1.0f - at.gate));
            write(z + row * half + i, at.filter * at.gate);
        }
    }
}

}  // namespace

extern "C" {

int gate_lanes() { return LANES; }

void gate_forward_float32(const float* both, float* z, int64_t rows, int half, int threads) {
    forward(both, z, rows, half, threads);
}

void gate_forward_bfloat16(const BFloat16* both, BFloat16* z, int64_t rows, int half, int threads) {
    forward(both, z, rows, half, threads);
}

void gate_backward_float32(const float* both, const float* z_gradient, float* gradient, float* z, int64_t rows,
                           int half, int threads) {
    backward(both, z_gradient, gradient, z, rows, half, threads);
}

void gate_backward_bfloat16(const BFloat16* both, const BFloat16* z_gradient, BFloat16* gradient, BFloat16* z,
                            int64_t rows, int half, int threads) {
    backward(both, z_gradient, gradient, z, rows, half, threads);
}
}

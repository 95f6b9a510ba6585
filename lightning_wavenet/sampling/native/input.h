// The input layer: a causal convolution over the last codes of every stream, one-hot or by their amplitudes.
#pragma once

#include "buffer.h"
#include "output.h"
#include "packed.h"

class Input {
public:
    // levels: of one-hot codes; 0 for amplitudes. recent: the codes that are read first, [streams, taps].
    template <class P>
    Input(Packed<P>& packed, int taps, int levels, int channels, int streams, const int32_t* recent)
        : taps_(taps), levels_(levels), channels_(channels), recent_(int64_t(streams) * taps) {
        tables_ = packed.vector(int64_t(taps) * std::max(levels, 1) * channels);
        bias_ = packed.vector(channels);
        std::copy_n(recent, int64_t(streams) * taps, recent_.data());
    }

    // Writes the signal of a stream, [channels].
    void read(int stream, const Output& output, float* x) const {
        const int32_t* codes = recent_.rows(stream, taps_)[0];
        std::fill_n(x, channels_, 0.0f);
        for (int tap = 0; tap < taps_; tap++) {
            const int64_t row = levels_ ? int64_t(tap) * levels_ + codes[tap] : tap;
            const float* table = tables_ + row * channels_;
            const float amplitude = levels_ ? 1.0f : output.amplitude(codes[tap]);
            for (int c = 0; c < channels_; c++) x[c] += amplitude * table[c];
        }
        for (int c = 0; c < channels_; c++) x[c] += bias_[c];
    }

    // Takes in the next code of a stream.
    void push(int stream, int32_t code) {
        int32_t* codes = recent_.rows(stream, taps_)[0];
        std::copy(codes + 1, codes + taps_, codes);
        codes[taps_ - 1] = code;
    }

    void keep(const int32_t* rows, int count) {
        Buffer<int32_t> kept(int64_t(count) * taps_);
        for (int row = 0; row < count; row++)
            std::copy_n(recent_.rows(rows[row], taps_)[0], taps_, kept.rows(row, taps_)[0]);
        recent_ = std::move(kept);
    }

private:
    int taps_, levels_, channels_;
    const float *tables_, *bias_;
    Buffer<int32_t> recent_;  // [streams, taps]
};

// Memory that is aligned to vectors and begins with zeros.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "product.h"

template <class T>
class Buffer {
public:
    explicit Buffer(int64_t size = 0) {
        const size_t bytes = (std::max<int64_t>(size, 1) * sizeof(T) + 63) / 64 * 64;
        data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
        if (!data_) throw std::bad_alloc();
        std::memset(static_cast<void*>(data_.get()), 0, bytes);
    }
    T* data() const { return data_.get(); }

    // Rows of `width`, from the given one on.
    Rows<T> rows(int64_t first, int64_t width) const { return {data() + first * width, width}; }

private:
    struct Free {
        void operator()(T* data) const { std::free(data); }
    };
    std::unique_ptr<T, Free> data_;
};

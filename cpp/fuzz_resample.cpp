// A libFuzzer target: any bytes become a legal call of `resample`, as the bindings would let it through. Beyond what
// the sanitizers see it stops where an output that must be finite is not, where an average leaves the range of what it
// averages, and where three threads, or the same values in a file, answer otherwise. Built with MEDPLUG_FUZZ alone, and
// never installed.

#include "fuzz_input.hpp"
#include "kernels/resample.hpp"
#include "kernels/resample_file.hpp"
#include "kernels/simd/kernels.hpp"

#include <sys/mman.h>
#include <unistd.h>

using namespace medplug;
using namespace medplug::fuzzing;

namespace {

// Numbers so small that tame pixels stay finite through `before`, `after` and the matrix; `table` outlives the tone.
Tone tone_of(Input& input, std::vector<float>& table) {
    Tone tone;
    const std::uint8_t parts = input.byte();
    if ((parts & 1) != 0) {
        for (std::int64_t size = input.between(1, 9); size > 0; --size) {
            table.push_back(static_cast<float>(input.number()));
        }
        tone.table = table.data();
        tone.table_size = static_cast<std::int64_t>(table.size());
        tone.first = static_cast<std::int64_t>(input.number() * 1000.0);
    }
    if ((parts & 2) != 0) {
        tone.slope = input.number() / 32.0;
        tone.intercept = input.number();
    }
    if ((parts & 4) != 0) {
        const double a = input.number(), b = input.number();
        tone.low = std::min(a, b);
        tone.high = std::max(a, b);
    }
    tone.sigmoid = (parts & 8) != 0;
    if ((parts & 16) != 0) {
        tone.gamma = 0.25 + input.byte() / 256.0;
    }
    if ((parts & 32) != 0) {
        tone.scale = input.number() / 32.0;
        tone.offset = input.number();
    }
    return tone;
}

Affine affine_of(Input& input, bool volume) {
    Affine map{{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}, {0, 0, 0}};
    const std::int64_t kind = input.between(0, 3); // scales; axes exchanged; dense; anything at all
    const auto first = static_cast<std::size_t>(volume ? 0 : 1);
    const std::size_t axes = 3 - first;
    const auto turn = static_cast<std::size_t>(kind == 1 ? input.between(0, 2) : 0);
    const Affine identity = map;
    for (std::size_t i = 0; i < axes; ++i) {
        for (std::size_t j = 0; j < axes; ++j) {
            double& entry = map.linear[first + i][first + j];
            if (kind < 2) {
                entry = (i + turn) % axes == j ? input.number() / 16.0 : 0.0;
            } else {
                entry = kind == 2 ? input.number() / 32.0 : input.wild();
            }
        }
        map.shift[first + i] = kind == 3 ? input.wild() : input.number();
    }
    return is_singular(map) ? identity : map;
}

// At most one axis is long: speed finds more than size does.
Shape shape_of(Input& input, bool volume, std::int64_t slices, std::int64_t rows, std::int64_t columns) {
    const std::int64_t axis = input.between(0, 2);
    const auto size = [&](std::int64_t here, std::int64_t longest) {
        return input.between(1, here == axis ? longest : std::min<std::int64_t>(longest, 5));
    };
    return {volume ? size(0, slices) : 1, size(1, rows), size(2, columns)};
}

// The values of an image one after the other in a file that lies in memory, behind a byte of something else.
template <class Stored>
StoredFile file_of(const StoredView<Stored>& view) {
    static const int descriptor = ::memfd_create("image", 0);
    std::vector<Stored> values;
    for (std::int64_t c = 0; c < view.channels; ++c) {
        for (std::int64_t s = 0; s < view.shape[0]; ++s) {
            for (std::int64_t r = 0; r < view.shape[1]; ++r) {
                for (std::int64_t x = 0; x < view.shape[2]; ++x) {
                    values.push_back(load<Stored>(view.row(c, s, r) + x * view.strides[2]));
                }
            }
        }
    }
    const std::size_t bytes = values.size() * sizeof(Stored);
    if (::ftruncate(descriptor, 0) != 0 ||
        ::pwrite(descriptor, values.data(), bytes, 1) != static_cast<ssize_t>(bytes)) {
        stop("the file cannot be written");
    }
    return {descriptor, 1, 0};
}

template <class Stored>
void fuzz_resample(Input& input) {
    const bool volume = input.flag();
    const std::int64_t stored_channels = input.between(1, 3);
    Shape shape = shape_of(input, volume, 4, 16, 16);
    const Shape out_shape = shape_of(input, volume, 9, 34, 34); // beyond one tile (8 x 32 x 32) and one block (8 x 16)
    const bool mixes = input.flag();
    const std::int64_t channels = mixes ? input.between(1, 3) : stored_channels;
    std::vector<double> matrix;
    for (std::int64_t i = 0; mixes && i < channels * stored_channels; ++i) {
        matrix.push_back(input.number() / 64.0);
    }
    const Affine map = affine_of(input, volume);
    const auto filter = static_cast<Filter>(input.between(0, 2));
    const auto border = static_cast<Border>(input.between(0, 1));
    const bool fast = input.flag();
    if (fast && !volume && stored_channels == 1 && filter == Filter::antialias) { // smaller images are made exactly
        shape[1] += 256;
        shape[2] += 256;
    }
    std::vector<std::vector<float>> tables(static_cast<std::size_t>(2 * channels));
    std::vector<Tone> before, after;
    std::vector<double> fill;
    const bool plain = !input.flag(); // values are left as they are
    for (std::size_t i = 0; i < static_cast<std::size_t>(channels); ++i) {
        before.push_back(plain ? Tone{} : tone_of(input, tables[2 * i]));
        after.push_back(plain ? Tone{} : tone_of(input, tables[2 * i + 1]));
        fill.push_back(input.number());
    }
    const Image<Stored> image(input, stored_channels, shape);
    const Resampling how{map,           filter,       border,      mixes ? matrix.data() : nullptr,
                         before.data(), after.data(), fill.data(), fast};

    const auto size = static_cast<std::size_t>(channels * out_shape[0] * out_shape[1] * out_shape[2]);
    std::vector<float> alone(size, NAN), together(size, -1.0f);
    resample(image.view, how, OutputView{alone.data(), channels, out_shape}, 1);
    resample(image.view, how, OutputView{together.data(), channels, out_shape}, 3);

    if (std::memcmp(alone.data(), together.data(), size * sizeof(float)) != 0) {
        stop("three threads resample otherwise than one");
    }
    if constexpr (std::is_integral_v<Stored>) {
        if (channels == 1) {
            std::vector<float> read(size, -1.0f);
            if (resample_file(file_of(image.view), image.view, how, OutputView{read.data(), channels, out_shape}, 2) &&
                std::memcmp(alone.data(), read.data(), size * sizeof(float)) != 0) {
                stop("values in a file are resampled otherwise");
            }
        }
    }
    double low = image.low, high = image.high;
    for (const double value : fill) {
        low = border == Border::constant ? std::min(low, value) : low;
        high = border == Border::constant ? std::max(high, value) : high;
    }
    // Integers run in words, whose weights and sums are rounded to 2^-15 of all that can be stored.
    const double range = std::is_integral_v<Stored> ? std::ldexp(1.0, 8 * sizeof(Stored)) : 0.0;
    const double slack = 1e-5 * std::max({1.0, std::abs(low), std::abs(high)}) + std::ldexp(range, -14);
    for (const float value : alone) {
        if (image.finite && image.tame && !std::isfinite(value)) {
            stop("an output is not finite where every stored value is");
        }
        const double wide = static_cast<double>(value);
        if (image.finite && image.tame && plain && !mixes && (wide < low - slack || wide > high + slack)) {
            stop("an average leaves the range of what it averages");
        }
    }
}

} // namespace

// The instruction set that MEDPLUG_ISA names, else the widest of this machine.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    if (!choose_kernels(std::getenv("MEDPLUG_ISA"))) {
        stop("this machine has no such instruction set");
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input input(bytes, size);
    with_stored_type(input, [&input](auto item) { fuzz_resample<decltype(item)>(input); });
    return 0;
}

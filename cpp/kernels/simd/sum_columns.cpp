#include "kernels.hpp"
#include "turn.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// One column of a panel: GCC and Clang split it into the registers that there are. Products and sums are rounded one
// by one, in the order of the taps, so every set gives the same bits.
typedef float Column __attribute__((vector_size(4 * kPanel), aligned(4)));

// `known` is the number of taps where the compiler may know it, else 0: a loop of one length for all outputs is
// unrolled, and never guessed wrong.
template <int known>
void sum_turned(const ColumnSum& job) noexcept {
    const std::int64_t taps = known > 0 ? known : job.taps;
    const Column gain = Column{} + job.gain;
    const Column bias = Column{} + job.bias;
    alignas(64) float sums[kPanel * kPanel]; // [column, row]
    alignas(64) float rows[kPanel * kPanel];
    const float* weights = job.weights;
    for (std::int64_t x = 0; x < job.width; x += kPanel) {
        const std::int64_t here = job.width - x < kPanel ? job.width - x : kPanel;
        for (std::int64_t i = 0; i < here; ++i, weights += taps) {
            const auto* columns = reinterpret_cast<const Column*>(job.turned + job.first[x + i] * kPanel);
            Column sum = {};
            for (std::int64_t k = 0; k < taps; ++k) {
                sum += weights[k] * columns[k];
            }
            *reinterpret_cast<Column*>(sums + i * kPanel) = sum * gain + bias;
        }
        if (here == kPanel && job.rows == kPanel) {
            turn(sums, kPanel, job.out + x, job.out_stride);
            continue;
        }
        turn(sums, kPanel, rows, kPanel);
        for (std::int64_t row = 0; row < job.rows; ++row) {
            for (std::int64_t i = 0; i < here; ++i) {
                job.out[row * job.out_stride + x + i] = rows[row * kPanel + i];
            }
        }
    }
}

} // namespace

void sum_columns(const ColumnSum& job) noexcept {
    const std::int64_t padded = (job.columns + kColumnPad - 1) / kColumnPad * kColumnPad;
    for (std::int64_t x = 0; x < padded; x += kPanel) {
        turn(job.panel + x, padded, job.turned + x * kPanel, kPanel);
    }
    switch (job.taps) { // of the usual scales, up to 5
    case 2:
        return sum_turned<2>(job);
    case 3:
        return sum_turned<3>(job);
    case 4:
        return sum_turned<4>(job);
    case 5:
        return sum_turned<5>(job);
    case 6:
        return sum_turned<6>(job);
    case 7:
        return sum_turned<7>(job);
    case 8:
        return sum_turned<8>(job);
    case 9:
        return sum_turned<9>(job);
    case 10:
        return sum_turned<10>(job);
    default:
        return sum_turned<0>(job);
    }
}

} // namespace medplug::MEDPLUG_ISA

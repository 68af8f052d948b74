#include "level.hpp"

namespace medplug {

namespace {

// Between these a radiograph is 48 dB and more from the exact filter's answer.
constexpr double kLeastScale = 2.4, kMostScale = 7.5;
constexpr std::int64_t kLeastSide = 256; // of small images the edges, which are made exactly, are too large a part

// Weights of pixels of the half, 0 being the one before a position.
constexpr std::size_t kBefore = 6;
using Weights = std::array<double, 2 * kBefore + 1>;

// What a half's pixels, of which `first` follow each other with a weight of one, weigh `share` of the way to the next.
void add_between(Weights& weights, int pixel, double share, double times) noexcept {
    const auto at = static_cast<std::size_t>(pixel + static_cast<int>(kBefore));
    weights[at] += times * (1.0 - share);
    weights[at + 1] += times * share;
}

double triangle(double distance, double support) noexcept {
    return std::max(0.0, 1.0 - std::abs(distance) / support);
}

std::int16_t whole(double weight) noexcept {
    return static_cast<std::int16_t>(std::nearbyint(std::ldexp(weight, kSmoothingBits)));
}

} // namespace

// Least squares of what an edge becomes, that is of the weights' running sums, over positions between two pixels. Where
// the far weight would be negative, and overshoot, it is none.
Smoothing smoothing_of(double support) noexcept {
    constexpr int phases = 8;
    double near_near = 0.0, near_far = 0.0, far_far = 0.0, near_rest = 0.0, far_rest = 0.0;
    for (int phase = 0; phase < phases; ++phase) {
        const double share = (phase + 0.5) / phases, position = 2.0 * share + 0.5; // in stored pixels
        Weights wanted{}, centre{}, near{}, far{};
        double sum = 0.0;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const double pixel = 2.0 * (static_cast<double>(i) - static_cast<double>(kBefore));
            wanted[i] = triangle(pixel - position, support) + triangle(pixel + 1.0 - position, support);
            sum += wanted[i];
        }
        add_between(centre, 0, share, 1.0);
        for (const int side : {-1, 1}) {
            add_between(near, side, share, 1.0);
            add_between(far, 2 * side, share, 1.0);
            add_between(near, 0, share, -1.0);
            add_between(far, 0, share, -1.0);
        }
        double rest_so_far = 0.0, near_so_far = 0.0, far_so_far = 0.0;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            rest_so_far += wanted[i] / sum - centre[i];
            near_so_far += near[i];
            far_so_far += far[i];
            near_near += near_so_far * near_so_far;
            near_far += near_so_far * far_so_far;
            far_far += far_so_far * far_so_far;
            near_rest += near_so_far * rest_so_far;
            far_rest += far_so_far * rest_so_far;
        }
    }
    const double determinant = near_near * far_far - near_far * near_far;
    double beside = (near_rest * far_far - far_rest * near_far) / determinant;
    double beyond = (far_rest * near_near - near_rest * near_far) / determinant;
    if (beyond < 0.0) {
        beyond = 0.0;
        beside = near_rest / near_near;
    }
    Smoothing result{0, whole(beside), whole(beyond)};
    result.centre = static_cast<std::int16_t>((1 << kSmoothingBits) - 2 * (result.beside + result.beyond));
    return result;
}

std::optional<Level> Level::half(const Resampling& how, const Shape& shape) noexcept {
    if (!how.fast || std::min(shape[1], shape[2]) < kLeastSide) {
        return std::nullopt;
    }
    Level level{how.to_stored, how.axes(shape), true};
    const auto [least, most] = std::minmax(level.axes[1].support, level.axes[2].support);
    if (least < kLeastScale || most > kMostScale) {
        return std::nullopt;
    }
    level.rows = smoothing_of(level.axes[1].support);
    level.columns = smoothing_of(level.axes[2].support);
    for (std::size_t i = 1; i < 3; ++i) {
        for (double& step : level.map.linear[i]) {
            step /= 2;
        }
        level.map.shift[i] = (level.map.shift[i] - 0.5) / 2;
        level.axes[i].size /= 2;
        level.axes[i].support = 1.0;
    }
    return level;
}

} // namespace medplug

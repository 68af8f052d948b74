#pragma once

#include "binding_tone.hpp"
#include "kernels/resample.hpp"

#include <optional>

// The arguments of the two resampling calls, from Python's objects to the kernels' own.
namespace medplug::binding {

// One tone per output channel; `held` keeps them alive while the GIL is free.
inline std::vector<Tone> tones_of(const py::tuple& tones, const std::string& name, std::int64_t channels,
                                  std::vector<py::object>& held) {
    if (static_cast<std::int64_t>(py::len(tones)) != channels) {
        refuse(name + " has " + std::to_string(py::len(tones)) + " tones for " + std::to_string(channels) +
               " output channels; give one each");
    }
    std::vector<Tone> result;
    for (const py::handle& item : tones) {
        const std::size_t place = result.size();
        result.push_back(owned_tone(item, [&] { return name + "[" + std::to_string(place) + "]"; }).tone());
        held.push_back(py::reinterpret_borrow<py::object>(item));
    }
    return result;
}

inline double number_of(const py::handle& value, const std::string& name) {
    try {
        return py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>();
    } catch (const py::error_already_set& error) {
        if (!error.matches(PyExc_OverflowError)) {
            throw;
        }
        refuse(name + " is beyond every double; a finite number of at most 1e100 is needed");
    }
}

inline std::vector<double> numbers_of(const py::sequence& values, const std::string& name) {
    std::vector<double> numbers;
    for (const py::handle& value : values) {
        if (PyFloat_CheckExact(value.ptr()) && std::abs(PyFloat_AS_DOUBLE(value.ptr())) <= kMaxCoefficient) {
            numbers.push_back(PyFloat_AS_DOUBLE(value.ptr())); // names are built for refusals only
            continue;
        }
        const std::string place = name + "[" + std::to_string(numbers.size()) + "]";
        numbers.push_back(number_of(value, place));
        check_finite(numbers.back(), place);
    }
    return numbers;
}

inline double number_at(const py::array& matrix, py::ssize_t row, py::ssize_t column) {
    const auto* origin = static_cast<const std::byte*>(matrix.data());
    return load<double>(origin + row * matrix.strides(0) + column * matrix.strides(1));
}

inline std::string shape_of(const py::array& array) {
    return text(array.attr("shape"));
}

// One map, read from `axes` rows of `axes` + 1 numbers with the strides of the last two axes of `array`.
inline Affine affine_at(const py::array& array, const std::byte* origin, py::ssize_t axes, const std::string& name) {
    const py::ssize_t row_stride = array.strides(array.ndim() - 2), column_stride = array.strides(array.ndim() - 1);
    Affine affine{{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}, {0, 0, 0}};
    const py::ssize_t skipped = 3 - axes;
    for (py::ssize_t i = 0; i < axes; ++i) {
        for (py::ssize_t j = 0; j <= axes; ++j) {
            const double number = load<double>(origin + i * row_stride + j * column_stride);
            if (!(std::abs(number) <= kMaxCoefficient)) { // the name is built for a refusal only
                check_finite(number, name + "[" + std::to_string(i) + ", " + std::to_string(j) + "]");
            }
            auto& row = affine.linear[static_cast<std::size_t>(skipped + i)];
            (j == axes ? affine.shift[static_cast<std::size_t>(skipped + i)]
                       : row[static_cast<std::size_t>(skipped + j)]) = number;
        }
    }
    if (is_singular(affine)) {
        refuse(name + " is singular: its linear part maps the output onto less than the image; give every axis a "
                      "scale other than 0");
    }
    return affine;
}

// [count,] axes, axes + 1; `count` is 0 where one map is wanted.
inline std::vector<Affine> affines_of(const py::object& value, py::ssize_t axes, std::int64_t count) {
    const py::array array = as_array(value, "to_stored");
    check_dtype<double>(array, "to_stored");
    const py::ssize_t extra = count > 0 ? 1 : 0;
    if (array.ndim() != 2 + extra || (extra == 1 && array.shape(0) != count) || array.shape(extra) != axes ||
        array.shape(extra + 1) != axes + 1) {
        const std::string each = std::to_string(axes) + ", " + std::to_string(axes + 1) + ")";
        refuse("to_stored has shape " + shape_of(array) + "; " +
               (count > 0 ? std::to_string(count) + " images" : std::string("an image")) + " of " +
               std::to_string(axes) + " axes needs (" + (count > 0 ? std::to_string(count) + ", " : "") + each);
    }
    const auto* origin = static_cast<const std::byte*>(array.data());
    if (count == 0) {
        return {affine_at(array, origin, axes, "to_stored")};
    }
    std::vector<Affine> maps;
    for (std::int64_t i = 0; i < count; ++i) {
        maps.push_back(affine_at(array, origin + i * array.strides(0), axes, "to_stored[" + std::to_string(i) + "]"));
    }
    return maps;
}

inline std::optional<std::vector<double>> matrix_of(const py::object& value, std::int64_t from, std::int64_t to) {
    if (value.is_none()) {
        if (from != to) {
            refuse("stored has " + std::to_string(from) + " channels and out has " + std::to_string(to) +
                   "; give a matrix, or as many of the one as of the other");
        }
        return std::nullopt;
    }
    const py::array array = as_array(value, "matrix");
    check_dtype<double>(array, "matrix");
    if (array.ndim() != 2 || array.shape(0) != to || array.shape(1) != from) {
        refuse("matrix has shape " + shape_of(array) + "; (output channels, stored channels) = (" + std::to_string(to) +
               ", " + std::to_string(from) + ") is needed");
    }
    std::vector<double> numbers;
    for (py::ssize_t i = 0; i < to; ++i) {
        for (py::ssize_t j = 0; j < from; ++j) {
            const double number = number_at(array, i, j);
            if (!(std::abs(number) <= kMaxCoefficient)) {
                check_finite(number, "matrix[" + std::to_string(i) + ", " + std::to_string(j) + "]");
            }
            numbers.push_back(number);
        }
    }
    return numbers;
}

// Of an image of `axes` axes, or of many of them; it has `ndim` axes in all, as many as what is stored.
inline OutputView output_of(const py::object& value, py::ssize_t ndim, py::ssize_t axes, const std::string& from) {
    py::array array = as_array(value, "out");
    check_dtype<float>(array, "out");
    check_sizes(array, "out");
    if (array.ndim() != ndim) {
        refuse("out has " + std::to_string(array.ndim()) + " axes and " + from + " has " + std::to_string(ndim) +
               "; both need as many");
    }
    if (!array.writeable()) {
        refuse("out is read-only; pass a writable array");
    }
    const auto address = reinterpret_cast<std::uintptr_t>(array.data());
    if ((array.flags() & py::array::c_style) == 0 || address % alignof(float) != 0) {
        refuse("out is not C-contiguous; pass numpy.empty(" + shape_of(array) + ", numpy.float32)");
    }
    const py::ssize_t channels = array.ndim() - axes - 1; // the axis that counts them
    OutputView view{static_cast<float*>(array.mutable_data()), array.shape(channels), {1, 1, 1}};
    for (py::ssize_t axis = 0; axis < axes; ++axis) {
        view.shape[static_cast<std::size_t>(3 - axes + axis)] = array.shape(channels + 1 + axis);
    }
    return view;
}

inline OutputView output_of(const py::object& value, const py::array& stored, py::ssize_t axes) {
    const OutputView view = output_of(value, stored.ndim(), axes, "stored");
    if (Bytes(as_array(value, "out")).meets(Bytes(stored))) {
        refuse("out lies in the same memory as stored; pass an array of its own");
    }
    return view;
}

inline Filter filter_of(const std::string& name) {
    if (name == "nearest" || name == "linear" || name == "antialias") {
        return name == "nearest" ? Filter::nearest : name == "linear" ? Filter::linear : Filter::antialias;
    }
    refuse("no filter named '" + name + "'; there are nearest, linear, antialias");
}

inline Border border_of(const std::string& name) {
    if (name == "edge" || name == "constant") {
        return name == "edge" ? Border::edge : Border::constant;
    }
    refuse("no border named '" + name + "'; there are edge, constant");
}

inline bool is_fast(const std::string& quality) {
    if (quality == "exact" || quality == "fast") {
        return quality == "fast";
    }
    refuse("no quality named '" + quality + "'; there are exact, fast");
}

// What one call says besides its arrays. Sequences and their items may run code of the caller's, which may change the
// arrays: so they are read first, and `check` follows once the arrays are known. Keeps alive what the kernels point to
// while the GIL is free.
class Arguments {
  public:
    Arguments(const py::sequence& before, const py::sequence& after, const std::string& filter,
              const std::string& border, const std::string& quality, const py::sequence& fill)
        : before_items_(before), after_items_(after), fill_(numbers_of(fill, "fill")), filter_(filter_of(filter)),
          border_(border_of(border)), fast_(is_fast(quality)) {}

    void check(const py::object& matrix, std::int64_t stored_channels, std::int64_t channels) {
        matrix_ = matrix_of(matrix, stored_channels, channels);
        before_ = tones_of(before_items_, "before", channels, held_);
        after_ = tones_of(after_items_, "after", channels, held_);
        if (static_cast<std::int64_t>(fill_.size()) != channels) {
            refuse("fill has " + std::to_string(fill_.size()) + " values for " + std::to_string(channels) +
                   " output channels; give one each");
        }
    }

    Resampling resampling(const Affine& to_stored) const {
        return {to_stored,      filter_,       border_,      matrix_ ? matrix_->data() : nullptr,
                before_.data(), after_.data(), fill_.data(), fast_};
    }
    std::int64_t tones() const { return static_cast<std::int64_t>(py::len(before_items_)); }

  private:
    py::tuple before_items_, after_items_;
    std::vector<double> fill_;
    Filter filter_;
    Border border_;
    bool fast_;
    std::optional<std::vector<double>> matrix_;
    std::vector<Tone> before_, after_;
    std::vector<py::object> held_;
};

} // namespace medplug::binding

// The only file that knows Python: it checks what the kernels take for granted, lets go of the GIL and calls
// them.

#include "kernels/percentiles.hpp"
#include "kernels/resample.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <string>

namespace py = pybind11;
using namespace py::literals;
using namespace medplug;

namespace {

constexpr std::int64_t kMaxAxis = std::int64_t{1} << 20;
constexpr std::int64_t kMaxItems = std::int64_t{1} << 40;
constexpr double kMaxCoefficient = 1e100; // products of three stay finite
constexpr int kMaxThreads = 1024;

std::string text(const py::handle& value) {
    return py::str(value).cast<std::string>();
}
std::string type_name(const py::handle& value) {
    return text(py::type::handle_of(value).attr("__name__"));
}

[[noreturn]] void refuse(const std::string& message) {
    throw py::value_error(message);
}

py::array as_array(const py::object& value, const std::string& name) {
    if (!py::isinstance<py::array>(value)) {
        throw py::type_error(name + " is a " + type_name(value) + ", not a NumPy array; pass numpy.asarray(...)");
    }
    return py::reinterpret_borrow<py::array>(value);
}

template <class Item>
bool holds(const py::array& array) {
    return array.dtype().equal(py::dtype::of<Item>());
}

template <class Item>
void check_dtype(const py::array& array, const std::string& name) {
    if (!holds<Item>(array)) {
        const std::string wanted = text(py::dtype::of<Item>());
        throw py::type_error(name + " holds " + text(array.dtype()) + "; " + wanted +
                             " in native byte order is accepted: convert with astype(numpy." + wanted + ")");
    }
}

void check_sizes(const py::array& array, const std::string& name) {
    std::int64_t items = 1;
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
        const std::int64_t size = array.shape(axis);
        if (size == 0) {
            refuse(name + " is empty: axis " + std::to_string(axis) + " has size 0; at least 1 is needed");
        }
        if (size > kMaxAxis) {
            refuse(name + " has size " + std::to_string(size) + " on axis " + std::to_string(axis) +
                   "; at most 2**20 is accepted: tile the image");
        }
        if (items > kMaxItems / size) {
            refuse(name + " has more than 2**40 items: tile the image");
        }
        items *= size;
    }
}

void check_finite(double value, const std::string& name) {
    if (!(std::abs(value) <= kMaxCoefficient)) {
        refuse(name + " is " + std::to_string(value) + "; a finite number of at most 1e100 is needed");
    }
}

int check_threads(std::int64_t count) {
    if (count < 1 || count > kMaxThreads) {
        refuse("threads is " + std::to_string(count) + "; 1 to " + std::to_string(kMaxThreads) + " is accepted");
    }
    return static_cast<int>(count);
}

// A view of an array of up to four axes: channels, slices, rows, columns, where `planar` arrays lack slices
// and the leading axes of shorter ones are missing.
template <class Stored>
StoredView<Stored> view_of(const py::array& array, bool planar) {
    StoredView<Stored> view{static_cast<const std::byte*>(array.data()), 1, 0, {1, 1, 1}, {0, 0, 0}};
    const py::ssize_t ndim = array.ndim();
    for (py::ssize_t axis = 0; axis < ndim; ++axis) {
        const py::ssize_t place = planar && axis == 0 ? 0 : 4 - ndim + axis;
        if (place == 0) {
            view.channels = array.shape(axis);
            view.channel_stride = array.strides(axis);
        } else {
            view.shape[static_cast<std::size_t>(place - 1)] = array.shape(axis);
            view.strides[static_cast<std::size_t>(place - 1)] = array.strides(axis);
        }
    }
    return view;
}

// Calls visit with a value of the array's own item type.
template <class Visit>
void with_stored_type(const py::array& array, const Visit& visit) {
    if (holds<std::uint8_t>(array)) {
        visit(std::uint8_t{});
    } else if (holds<std::int8_t>(array)) {
        visit(std::int8_t{});
    } else if (holds<std::uint16_t>(array)) {
        visit(std::uint16_t{});
    } else if (holds<std::int16_t>(array)) {
        visit(std::int16_t{});
    } else if (holds<float>(array)) {
        visit(float{});
    } else {
        throw py::type_error("stored holds " + text(array.dtype()) +
                             "; uint8, int8, uint16, int16 and float32 in native byte order are accepted: convert "
                             "with astype(...)");
    }
}

// A tone with its table's memory, immutable once made.
class OwnedTone {
  public:
    OwnedTone(const py::object& table, std::int64_t first, double slope, double intercept, double low, double high,
              bool sigmoid, double gamma, double scale, double offset) {
        if (!table.is_none()) {
            const py::array array = as_array(table, "table");
            check_dtype<float>(array, "table");
            if (array.ndim() != 1) {
                refuse("table has " + std::to_string(array.ndim()) + " axes; one is needed");
            }
            check_sizes(array, "table");
            const StoredView<float> view = view_of<float>(array, false);
            for (std::int64_t i = 0; i < view.shape[2]; ++i) {
                table_.push_back(load<float>(view.origin + i * view.strides[2]));
                check_finite(static_cast<double>(table_.back()), "table[" + std::to_string(i) + "]");
            }
        }
        check_finite(slope, "slope");
        check_finite(intercept, "intercept");
        check_finite(scale, "scale");
        check_finite(offset, "offset");
        check_finite(gamma, "gamma");
        if (gamma <= 0.0) {
            refuse("gamma is " + std::to_string(gamma) + "; a positive number is needed");
        }
        if (!(low <= high)) {
            refuse("low is " + std::to_string(low) + " and high is " + std::to_string(high) +
                   "; low must not exceed high, and neither may be NaN");
        }
        if (std::abs(static_cast<double>(first)) > 4294967296.0) {
            refuse("first is " + std::to_string(first) + "; at most 2**32 either way is accepted");
        }
        tone_ = {nullptr,   static_cast<std::int64_t>(table_.size()),
                 first,     slope,
                 intercept, low,
                 high,      sigmoid,
                 gamma,     scale,
                 offset};
        tone_.table = table_.empty() ? nullptr : table_.data();
    }
    OwnedTone(const OwnedTone&) = delete;
    OwnedTone& operator=(const OwnedTone&) = delete;

    const Tone& tone() const { return tone_; }

    py::object table(const py::object& self) const {
        if (table_.empty()) {
            return py::none();
        }
        py::array_t<float> view(static_cast<py::ssize_t>(table_.size()), table_.data(), self);
        view.attr("setflags")("write"_a = false);
        return std::move(view);
    }

  private:
    std::vector<float> table_;
    Tone tone_;
};

// One tone per output channel; `held` keeps them alive while the GIL is free.
std::vector<Tone> tones_of(const py::sequence& tones, const std::string& name, std::int64_t channels,
                           std::vector<py::object>& held) {
    if (static_cast<std::int64_t>(py::len(tones)) != channels) {
        refuse(name + " has " + std::to_string(py::len(tones)) + " tones for " + std::to_string(channels) +
               " output channels; give one each");
    }
    std::vector<Tone> result;
    for (const py::handle& item : tones) {
        if (!py::isinstance<OwnedTone>(item)) {
            throw py::type_error(name + "[" + std::to_string(result.size()) + "] is a " + type_name(item) +
                                 ", not a Tone");
        }
        held.push_back(py::reinterpret_borrow<py::object>(item));
        result.push_back(item.cast<const OwnedTone&>().tone());
    }
    return result;
}

std::vector<double> numbers_of(const py::sequence& values, const std::string& name) {
    std::vector<double> numbers;
    for (const py::handle& value : values) {
        numbers.push_back(py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>());
        check_finite(numbers.back(), name + "[" + std::to_string(numbers.size() - 1) + "]");
    }
    return numbers;
}

double number_at(const py::array& matrix, py::ssize_t row, py::ssize_t column) {
    const auto* origin = static_cast<const std::byte*>(matrix.data());
    return load<double>(origin + row * matrix.strides(0) + column * matrix.strides(1));
}

std::string shape_of(const py::array& array) {
    return text(array.attr("shape"));
}

// One map, read from `axes` rows of `axes` + 1 numbers with the strides of the last two axes of `array`.
Affine affine_at(const py::array& array, const std::byte* origin, py::ssize_t axes, const std::string& name) {
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
std::vector<Affine> affines_of(const py::object& value, py::ssize_t axes, std::int64_t count) {
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

std::optional<std::vector<double>> matrix_of(const py::object& value, std::int64_t from, std::int64_t to) {
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
            numbers.push_back(number_at(array, i, j));
            check_finite(numbers.back(), "matrix[" + std::to_string(i) + ", " + std::to_string(j) + "]");
        }
    }
    return numbers;
}

OutputView output_of(const py::object& value, const py::array& stored, py::ssize_t axes) {
    py::array array = as_array(value, "out");
    check_dtype<float>(array, "out");
    check_sizes(array, "out");
    if (array.ndim() != stored.ndim()) {
        refuse("out has " + std::to_string(array.ndim()) + " axes and stored has " + std::to_string(stored.ndim()) +
               "; both need as many");
    }
    if (!array.writeable()) {
        refuse("out is read-only; pass a writable array");
    }
    const auto address = reinterpret_cast<std::uintptr_t>(array.data());
    if ((array.flags() & py::array::c_style) == 0 || address % alignof(float) != 0) {
        refuse("out is not C-contiguous; pass numpy.empty(" + shape_of(array) + ", numpy.float32)");
    }
    if (py::module_::import("numpy").attr("may_share_memory")(array, stored).cast<bool>()) {
        refuse("out lies in the same memory as stored; pass an array of its own");
    }
    const py::ssize_t channels = array.ndim() - axes - 1; // the axis that counts them
    OutputView view{static_cast<float*>(array.mutable_data()), array.shape(channels), {1, 1, 1}};
    for (py::ssize_t axis = 0; axis < axes; ++axis) {
        view.shape[static_cast<std::size_t>(3 - axes + axis)] = array.shape(channels + 1 + axis);
    }
    return view;
}

Filter filter_of(const std::string& name) {
    if (name == "nearest" || name == "linear" || name == "antialias") {
        return name == "nearest" ? Filter::nearest : name == "linear" ? Filter::linear : Filter::antialias;
    }
    refuse("no filter named '" + name + "'; there are nearest, linear, antialias");
}

Border border_of(const std::string& name) {
    if (name == "edge" || name == "constant") {
        return name == "edge" ? Border::edge : Border::constant;
    }
    refuse("no border named '" + name + "'; there are edge, constant");
}

// What one call says besides its images, checked; it keeps alive what the kernels point to while the GIL is free.
struct Arguments {
    std::optional<std::vector<double>> matrix;
    std::vector<py::object> held;
    std::vector<Tone> before, after;
    std::vector<double> fill;
    Filter filter;
    Border border;
    int threads;

    Arguments(std::int64_t stored_channels, std::int64_t channels, const py::object& matrix_object,
              const py::sequence& before_tones, const py::sequence& after_tones, const std::string& filter_name,
              const std::string& border_name, const py::sequence& fill_values, std::int64_t thread_count)
        : matrix(matrix_of(matrix_object, stored_channels, channels)),
          before(tones_of(before_tones, "before", channels, held)),
          after(tones_of(after_tones, "after", channels, held)), fill(numbers_of(fill_values, "fill")),
          filter(filter_of(filter_name)), border(border_of(border_name)), threads(check_threads(thread_count)) {
        if (static_cast<std::int64_t>(fill.size()) != channels) {
            refuse("fill has " + std::to_string(fill.size()) + " values for " + std::to_string(channels) +
                   " output channels; give one each");
        }
    }

    Resampling resampling(const Affine& to_stored) const {
        return {to_stored, filter, border, matrix ? matrix->data() : nullptr, before.data(), after.data(), fill.data()};
    }
};

void resample_python(const py::object& stored_object, const py::object& out_object, const py::object& to_stored,
                     const py::object& matrix, const py::sequence& before, const py::sequence& after,
                     const std::string& filter, const std::string& border, const py::sequence& fill,
                     std::int64_t threads) {
    const py::array stored = as_array(stored_object, "stored");
    if (stored.ndim() != 3 && stored.ndim() != 4) {
        refuse("stored has shape " + shape_of(stored) + "; [channels, (slices,) rows, columns] is needed");
    }
    check_sizes(stored, "stored");
    const py::ssize_t axes = stored.ndim() - 1;
    const OutputView out = output_of(out_object, stored, axes);
    const Arguments arguments(stored.shape(0), out.channels, matrix, before, after, filter, border, fill, threads);
    const Resampling how = arguments.resampling(affines_of(to_stored, axes, 0).front());
    with_stored_type(stored, [&](auto item) {
        const auto view = view_of<decltype(item)>(stored, axes == 2);
        const py::gil_scoped_release release;
        resample(view, how, out, arguments.threads);
    });
}

void resample_batch_python(const py::object& stored_object, const py::object& out_object, const py::object& to_stored,
                           const py::object& matrix, const py::sequence& before, const py::sequence& after,
                           const std::string& filter, const std::string& border, const py::sequence& fill,
                           std::int64_t threads) {
    const py::array stored = as_array(stored_object, "stored");
    if (stored.ndim() != 4 && stored.ndim() != 5) {
        refuse("stored has shape " + shape_of(stored) + "; [images, channels, (slices,) rows, columns] is needed");
    }
    check_sizes(stored, "stored");
    const py::ssize_t axes = stored.ndim() - 2;
    const OutputView out = output_of(out_object, stored, axes);
    const std::int64_t images = stored.shape(0);
    if (as_array(out_object, "out").shape(0) != images) {
        refuse("out has shape " + shape_of(as_array(out_object, "out")) + " for " + std::to_string(images) +
               " images; give one each");
    }
    const Arguments arguments(stored.shape(1), out.channels, matrix, before, after, filter, border, fill, threads);
    const std::vector<Affine> maps = affines_of(to_stored, axes, images);
    const py::array first = stored[py::int_(0)].cast<py::array>();
    with_stored_type(stored, [&](auto item) {
        const BatchView<decltype(item)> batch{view_of<decltype(item)>(first, axes == 2), images, stored.strides(0)};
        const py::gil_scoped_release release;
        resample_batch(batch, arguments.resampling(maps.front()), maps.data(), out, arguments.threads);
    });
}

std::vector<double> percentiles_of(const py::array& stored, const std::vector<double>& percentages, int threads) {
    std::vector<double> values;
    with_stored_type(stored, [&](auto item) {
        const auto view = view_of<decltype(item)>(stored, false);
        const py::gil_scoped_release release;
        values = percentiles(view, percentages, threads);
    });
    return values;
}

py::list percentiles_python(const py::object& stored_object, const py::sequence& q, std::int64_t threads) {
    const py::array stored = as_array(stored_object, "stored");
    if (stored.ndim() < 1 || stored.ndim() > 4) {
        refuse("stored has " + std::to_string(stored.ndim()) + " axes; 1 to 4 are accepted: reshape it");
    }
    check_sizes(stored, "stored");
    const std::vector<double> percentages = numbers_of(q, "q");
    for (const double percentage : percentages) {
        if (percentage < 0.0 || percentage > 100.0) {
            refuse("q holds " + std::to_string(percentage) + "; percentages from 0 to 100 are needed");
        }
    }
    const std::vector<double> values = percentiles_of(stored, percentages, check_threads(threads));
    if (values.size() != percentages.size()) {
        refuse("stored holds no finite value, so it has no percentiles");
    }
    py::list result;
    for (const double value : values) {
        result.append(value);
    }
    return result;
}

} // namespace

PYBIND11_MODULE(_kernels, m, py::mod_gil_not_used()) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    // Without static properties the plain metaclass does, and the stub can say what the class is.
    py::class_<OwnedTone>(m, "Tone", py::is_final(), py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
        .def(py::init<const py::object&, std::int64_t, double, double, double, double, bool, double, double, double>(),
             py::kw_only(), "table"_a = py::none(), "first"_a = 0, "slope"_a = 1.0, "intercept"_a = 0.0,
             "low"_a = -infinity, "high"_a = infinity, "sigmoid"_a = false, "gamma"_a = 1.0, "scale"_a = 1.0,
             "offset"_a = 0.0)
        .def_property_readonly("table",
                               [](const py::object& self) { return self.cast<const OwnedTone&>().table(self); })
        .def_property_readonly("first", [](const OwnedTone& self) { return self.tone().first; })
        .def_property_readonly("slope", [](const OwnedTone& self) { return self.tone().slope; })
        .def_property_readonly("intercept", [](const OwnedTone& self) { return self.tone().intercept; })
        .def_property_readonly("low", [](const OwnedTone& self) { return self.tone().low; })
        .def_property_readonly("high", [](const OwnedTone& self) { return self.tone().high; })
        .def_property_readonly("sigmoid", [](const OwnedTone& self) { return self.tone().sigmoid; })
        .def_property_readonly("gamma", [](const OwnedTone& self) { return self.tone().gamma; })
        .def_property_readonly("scale", [](const OwnedTone& self) { return self.tone().scale; })
        .def_property_readonly("offset", [](const OwnedTone& self) { return self.tone().offset; });
    m.def("resample", &resample_python, "stored"_a, "out"_a, "to_stored"_a, py::kw_only(), "matrix"_a = py::none(),
          "before"_a, "after"_a, "filter"_a, "border"_a, "fill"_a, "threads"_a = 1);
    m.def("resample_batch", &resample_batch_python, "stored"_a, "out"_a, "to_stored"_a, py::kw_only(),
          "matrix"_a = py::none(), "before"_a, "after"_a, "filter"_a, "border"_a, "fill"_a, "threads"_a = 1);
    m.def("percentiles", &percentiles_python, "stored"_a, "q"_a, py::kw_only(), "threads"_a = 1);
}

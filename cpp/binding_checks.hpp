#pragma once

#include "kernels/view.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <string>

// What the kernels take for granted of arrays and numbers, checked, with a message that says the way out.
namespace medplug::binding {

namespace py = pybind11;

constexpr std::int64_t kMaxAxis = std::int64_t{1} << 20;
constexpr std::int64_t kMaxItems = std::int64_t{1} << 40;
constexpr double kMaxCoefficient = 1e100; // products of three stay finite
constexpr int kMaxThreads = 1024;

inline std::string text(const py::handle& value) {
    return py::str(value).cast<std::string>();
}
inline std::string type_name(const py::handle& value) {
    return text(py::type::handle_of(value).attr("__name__"));
}

[[noreturn]] inline void refuse(const std::string& message) {
    throw py::value_error(message);
}

inline py::array as_array(const py::object& value, const std::string& name) {
    if (!py::isinstance<py::array>(value)) {
        throw py::type_error(name + " is a " + type_name(value) + ", not a NumPy array; pass numpy.asarray(...)");
    }
    return py::reinterpret_borrow<py::array>(value);
}

// Of native byte order: comparing dtypes as Python does takes longer than a small image.
template <class Item>
bool holds(const py::array& array) {
    const py::dtype type = array.dtype();
    constexpr char foreign = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<';
    return type.num() == py::dtype::num_of<Item>() && type.byteorder() != foreign;
}

template <class Item>
void check_dtype(const py::array& array, const std::string& name) {
    if (!holds<Item>(array)) {
        const std::string wanted = text(py::dtype::of<Item>());
        throw py::type_error(name + " holds " + text(array.dtype()) + "; " + wanted +
                             " in native byte order is accepted: convert with astype(numpy." + wanted + ")");
    }
}

// Of `axes` axes, whose sizes size_of gives.
template <class SizeOf>
void check_sizes(py::ssize_t axes, const SizeOf& size_of, const std::string& name) {
    std::int64_t items = 1;
    for (py::ssize_t axis = 0; axis < axes; ++axis) {
        const std::int64_t size = size_of(axis);
        if (size < 1) {
            refuse(name + " is empty: axis " + std::to_string(axis) + " has size " + std::to_string(size) +
                   "; at least 1 is needed");
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

inline void check_sizes(const py::array& array, const std::string& name) {
    check_sizes(array.ndim(), [&](py::ssize_t axis) { return array.shape(axis); }, name);
}

inline void check_finite(double value, const std::string& name) {
    if (!(std::abs(value) <= kMaxCoefficient)) {
        refuse(name + " is " + std::to_string(value) + "; a finite number of at most 1e100 is needed");
    }
}

inline int check_threads(std::int64_t count) {
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

// The first and the last byte that an array's items lie in, whatever its strides.
struct Bytes {
    std::uintptr_t first, last;

    explicit Bytes(const py::array& array)
        : first(reinterpret_cast<std::uintptr_t>(array.data())),
          last(first + static_cast<std::uintptr_t>(array.itemsize()) - 1) {
        for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
            const std::int64_t travel = (array.shape(axis) - 1) * array.strides(axis);
            (travel < 0 ? first : last) += static_cast<std::uintptr_t>(travel);
        }
    }
    bool meets(const Bytes& other) const { return first <= other.last && other.first <= last; }
};

// Calls visit with a value of the array's own item type.
template <class Visit>
void with_stored_type(const py::array& array, const Visit& visit, const std::string& name = "stored") {
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
        throw py::type_error(name + " holds " + text(array.dtype()) +
                             "; uint8, int8, uint16, int16 and float32 in native byte order are accepted: convert "
                             "with astype(...)");
    }
}

} // namespace medplug::binding

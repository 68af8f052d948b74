#pragma once

#include "binding_checks.hpp"
#include "kernels/stored_file.hpp"

#include <vector>

// An image whose values lie in a file, from Python's objects to the kernels' own.
namespace medplug::binding {

inline StoredFile file_of(std::int64_t descriptor, std::int64_t offset, std::int64_t unused) {
    constexpr std::int64_t most = std::int64_t{1} << 62; // as long as a file is, with room for the sums
    if (descriptor < 0 || descriptor > std::numeric_limits<int>::max()) {
        refuse("file is " + std::to_string(descriptor) + "; an open file's descriptor is needed");
    }
    if (offset < 0 || offset > most) {
        refuse("offset is " + std::to_string(offset) + "; 0 to 2**62 is accepted");
    }
    if (unused < 0 || unused > 15) {
        refuse("unused is " + std::to_string(unused) + "; 0 to 15 bits are accepted");
    }
    return {static_cast<int>(descriptor), offset, static_cast<int>(unused)};
}

inline void check_unused(const StoredFile& file, std::int64_t itemsize) {
    if (file.unused >= 8 * itemsize) {
        refuse("unused is " + std::to_string(file.unused) + " for values of " + std::to_string(8 * itemsize) +
               " bits; at least one has to be used");
    }
}

// [channels, (slices,) rows, columns], one after the other.
inline std::vector<std::int64_t> shape_of_file(const py::sequence& value) {
    if (const auto length = py::len(value); length != 3 && length != 4) {
        refuse("shape has " + std::to_string(length) + " sizes; [channels, (slices,) rows, columns] is needed");
    }
    std::vector<std::int64_t> shape;
    for (const py::handle& size : py::tuple(value)) {
        const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(size.ptr()));
        if (!number) {
            throw py::error_already_set();
        }
        int overflow = 0;
        shape.push_back(PyLong_AsLongLongAndOverflow(number.ptr(), &overflow));
        if (overflow != 0) {
            refuse("shape has size " + text(number) + "; at most 2**20 is accepted");
        }
    }
    check_sizes(
        static_cast<py::ssize_t>(shape.size()), [&](py::ssize_t axis) { return shape[static_cast<std::size_t>(axis)]; },
        "shape");
    return shape;
}

// A view without memory: its shape alone counts.
template <class Stored>
StoredView<Stored> view_of_file(const std::vector<std::int64_t>& shape) {
    const std::size_t skipped = shape.size() - 3;
    const Shape sizes{skipped == 1 ? shape[1] : 1, shape[skipped + 1], shape[skipped + 2]};
    constexpr auto item = static_cast<std::int64_t>(sizeof(Stored));
    return {nullptr,
            shape[0],
            sizes[0] * sizes[1] * sizes[2] * item,
            sizes,
            {sizes[1] * sizes[2] * item, sizes[2] * item, item}};
}

// Calls visit with a value of the item type that `name` names.
template <class Visit>
void with_type_named(const std::string& name, const Visit& visit) {
    if (name == "uint8") {
        visit(std::uint8_t{});
    } else if (name == "int8") {
        visit(std::int8_t{});
    } else if (name == "uint16") {
        visit(std::uint16_t{});
    } else if (name == "int16") {
        visit(std::int16_t{});
    } else {
        refuse("dtype is '" + name + "'; there are uint8, int8, uint16, int16");
    }
}

} // namespace medplug::binding

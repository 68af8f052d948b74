#pragma once

#include "binding_checks.hpp"
#include "kernels/tone.hpp"

#include <vector>

namespace medplug::binding {

using namespace py::literals;

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

// What Python made by __new__ alone has no value, and pybind11's own cast would hand out raw memory for one. `name` is
// called for a refusal only.
template <class Owned, class Name>
const Owned& owned(const py::handle& value, const std::string& type, const Name& name) {
    if (!py::isinstance<Owned>(value)) {
        throw py::type_error(name() + " is a " + type_name(value) + ", not a " + type);
    }
    auto holder = reinterpret_cast<py::detail::instance*>(value.ptr())->get_value_and_holder();
    if (!holder.holder_constructed()) {
        throw py::type_error(name() + " is a " + type + " that was never initialised; call " + type + "(...)");
    }
    return *static_cast<const Owned*>(holder.value_ptr());
}

template <class Name>
const OwnedTone& owned_tone(const py::handle& value, const Name& name) {
    return owned<OwnedTone>(value, "Tone", name);
}

inline const OwnedTone& owned_self(const py::object& self) {
    return owned_tone(self, [] { return std::string("self"); });
}

inline const Tone& self_tone(const py::object& self) {
    return owned_self(self).tone();
}

} // namespace medplug::binding

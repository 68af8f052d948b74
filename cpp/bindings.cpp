// The functions of the module: they let go of the GIL and call the kernels. What they check lies in binding_*.hpp.

#include "binding_arguments.hpp"
#include "binding_file.hpp"
#include "kernels/percentiles.hpp"
#include "kernels/resample_file.hpp"
#include "kernels/simd/kernels.hpp"

#include <cstdlib>

using namespace medplug;
using namespace medplug::binding;

namespace {

// All that one call says but for the images.
class Resampler {
  public:
    Resampler(const py::object& to_stored, const py::object& matrix, const py::sequence& before,
              const py::sequence& after, const std::string& filter, const std::string& border,
              const std::string& quality, const py::sequence& fill)
        : arguments_(before, after, filter, border, quality, fill) {
        const py::array map = as_array(to_stored, "to_stored");
        axes_ = map.ndim() == 2 && map.shape(0) == 3 ? 3 : 2;
        to_stored_ = affines_of(map, axes_, 0).front();
        channels_ = arguments_.tones();
        stored_channels_ = channels_;
        if (!matrix.is_none()) {
            const py::array mixes = as_array(matrix, "matrix");
            stored_channels_ = mixes.ndim() == 2 ? mixes.shape(1) : channels_; // another is refused below
        }
        arguments_.check(matrix, stored_channels_, channels_);
    }

    void call(const py::object& stored_object, const py::object& out_object, std::int64_t threads) const {
        const int count = check_threads(threads);
        const py::array stored = as_array(stored_object, "stored");
        check_axes(stored.ndim(), "stored");
        check_sizes(stored, "stored");
        const OutputView out = output_of(out_object, stored, axes_);
        check_channels(stored.shape(0), out.channels);
        with_stored_type(stored, [&](auto item) {
            const auto view = view_of<decltype(item)>(stored, axes_ == 2);
            const Resampling how = arguments_.resampling(to_stored_);
            const py::gil_scoped_release release;
            resample(view, how, out, count);
        });
    }

    bool call_file(std::int64_t descriptor, std::int64_t offset, std::int64_t unused,
                   const py::sequence& shape_sequence, const std::string& dtype, const py::object& out_object,
                   std::int64_t threads) const {
        const int count = check_threads(threads);
        const std::vector<std::int64_t> shape = shape_of_file(shape_sequence);
        const StoredFile file = file_of(descriptor, offset, unused);
        check_axes(static_cast<py::ssize_t>(shape.size()), "shape");
        const OutputView out = output_of(out_object, axes_ + 1, axes_, "the image");
        check_channels(shape[0], out.channels);
        bool done = false;
        with_type_named(dtype, [&](auto item) {
            check_unused(file, sizeof item);
            const Resampling how = arguments_.resampling(to_stored_);
            const py::gil_scoped_release release;
            done = resample_file(file, view_of_file<decltype(item)>(shape), how, out, count);
        });
        return done;
    }

  private:
    void check_axes(py::ssize_t axes, const std::string& name) const {
        if (axes != axes_ + 1) {
            refuse(name + " has " + std::to_string(axes) + " axes; to_stored is a map of " + std::to_string(axes_) +
                   ", so [channels, " + (axes_ == 3 ? "slices, " : "") + "rows, columns] is needed");
        }
    }
    void check_channels(std::int64_t stored, std::int64_t out) const {
        if (stored != stored_channels_ || out != channels_) {
            refuse("stored has " + std::to_string(stored) + " channels and out has " + std::to_string(out) +
                   "; this resampler makes " + std::to_string(channels_) + " of " + std::to_string(stored_channels_));
        }
    }

    Arguments arguments_;
    py::ssize_t axes_;
    Affine to_stored_;
    std::int64_t channels_, stored_channels_;
};

const Resampler& self_resampler(const py::object& self) {
    return owned<Resampler>(self, "Resampler", [] { return std::string("self"); });
}

void resample_python(const py::object& stored_object, const py::object& out_object, const py::object& to_stored,
                     const py::object& matrix, const py::sequence& before, const py::sequence& after,
                     const std::string& filter, const std::string& border, const std::string& quality,
                     const py::sequence& fill, std::int64_t threads) {
    Arguments arguments(before, after, filter, border, quality, fill);
    const int count = check_threads(threads);
    const py::array stored = as_array(stored_object, "stored");
    if (stored.ndim() != 3 && stored.ndim() != 4) {
        refuse("stored has shape " + shape_of(stored) + "; [channels, (slices,) rows, columns] is needed");
    }
    check_sizes(stored, "stored");
    const py::ssize_t axes = stored.ndim() - 1;
    const OutputView out = output_of(out_object, stored, axes);
    arguments.check(matrix, stored.shape(0), out.channels);
    const Resampling how = arguments.resampling(affines_of(to_stored, axes, 0).front());
    with_stored_type(stored, [&](auto item) {
        const auto view = view_of<decltype(item)>(stored, axes == 2);
        const py::gil_scoped_release release;
        resample(view, how, out, count);
    });
}

void resample_batch_python(const py::object& stored_object, const py::object& out_object, const py::object& to_stored,
                           const py::object& matrix, const py::sequence& before, const py::sequence& after,
                           const std::string& filter, const std::string& border, const std::string& quality,
                           const py::sequence& fill, std::int64_t threads) {
    Arguments arguments(before, after, filter, border, quality, fill);
    const int count = check_threads(threads);
    const py::array stored = as_array(stored_object, "stored");
    if (stored.ndim() != 4 && stored.ndim() != 5) {
        refuse("stored has shape " + shape_of(stored) + "; [images, channels, (slices,) rows, columns] is needed");
    }
    check_sizes(stored, "stored");
    const py::ssize_t axes = stored.ndim() - 2;
    const OutputView out = output_of(out_object, stored, axes);
    const std::int64_t images = stored.shape(0);
    if (const py::array given = as_array(out_object, "out"); given.shape(0) != images) {
        refuse("out has shape " + shape_of(given) + " for " + std::to_string(images) + " images; give one each");
    }
    arguments.check(matrix, stored.shape(1), out.channels);
    const std::vector<Affine> maps = affines_of(to_stored, axes, images);
    const py::array first = stored[py::int_(0)].cast<py::array>();
    with_stored_type(stored, [&](auto item) {
        const BatchView<decltype(item)> batch{view_of<decltype(item)>(first, axes == 2), images, stored.strides(0)};
        const py::gil_scoped_release release;
        resample_batch(batch, arguments.resampling(maps.front()), maps.data(), out, count);
    });
}

bool read_values_python(std::int64_t descriptor, std::int64_t offset, std::int64_t unused,
                        const py::object& out_object) {
    const StoredFile file = file_of(descriptor, offset, unused);
    py::array out = as_array(out_object, "out");
    check_sizes(out, "out");
    if (!out.writeable() || (out.flags() & py::array::c_style) == 0) {
        refuse("out is read-only or not C-contiguous; pass numpy.empty(" + shape_of(out) + ", ...)");
    }
    bool done = false;
    const auto read = [&](auto item) {
        using Stored = decltype(item);
        if constexpr (std::is_integral_v<Stored>) {
            check_unused(file, sizeof item);
            auto* to = static_cast<Stored*>(out.mutable_data());
            if (reinterpret_cast<std::uintptr_t>(to) % alignof(Stored) != 0) {
                refuse("out is not aligned; pass numpy.empty(" + shape_of(out) + ", ...)");
            }
            const std::int64_t count = out.size();
            const py::gil_scoped_release release;
            done = read_values(file, 0, count, to);
        } else {
            throw py::type_error("out holds float32; uint8, int8, uint16 and int16 are accepted");
        }
    };
    with_stored_type(out, read, "out");
    return done;
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
    const std::vector<double> percentages = numbers_of(q, "q"); // may run code of the caller's, so it comes first
    const py::array stored = as_array(stored_object, "stored");
    if (stored.ndim() < 1 || stored.ndim() > 4) {
        refuse("stored has " + std::to_string(stored.ndim()) + " axes; 1 to 4 are accepted: reshape it");
    }
    check_sizes(stored, "stored");
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

// The environment variable MEDPLUG_ISA forces an instruction set, for tests and comparisons.
void choose_instruction_set() {
    const char* wanted = std::getenv("MEDPLUG_ISA");
    if (choose_kernels(wanted)) {
        return;
    }
    const std::string name = wanted;
    const bool known = name == "avx512-gather" || name == "avx512" || name == "avx2" || name == "plain";
    throw py::import_error(
        "MEDPLUG_ISA is " + name +
        (known ? "; this machine has no " + name + ": unset it" : "; there are avx512-gather, avx512, avx2, plain"));
}

} // namespace

PYBIND11_MODULE(_kernels, m, py::mod_gil_not_used()) {
    choose_instruction_set();
    m.attr("instruction_set") = instruction_set();
    constexpr double infinity = std::numeric_limits<double>::infinity();
    // Without static properties the plain metaclass does, and the stub can say what the class is.
    py::class_<OwnedTone>(m, "Tone", py::is_final(), py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
        .def(py::init<const py::object&, std::int64_t, double, double, double, double, bool, double, double, double>(),
             py::kw_only(), "table"_a = py::none(), "first"_a = 0, "slope"_a = 1.0, "intercept"_a = 0.0,
             "low"_a = -infinity, "high"_a = infinity, "sigmoid"_a = false, "gamma"_a = 1.0, "scale"_a = 1.0,
             "offset"_a = 0.0)
        .def_property_readonly("table", [](const py::object& self) { return owned_self(self).table(self); })
        .def_property_readonly("first", [](const py::object& self) { return self_tone(self).first; })
        .def_property_readonly("slope", [](const py::object& self) { return self_tone(self).slope; })
        .def_property_readonly("intercept", [](const py::object& self) { return self_tone(self).intercept; })
        .def_property_readonly("low", [](const py::object& self) { return self_tone(self).low; })
        .def_property_readonly("high", [](const py::object& self) { return self_tone(self).high; })
        .def_property_readonly("sigmoid", [](const py::object& self) { return self_tone(self).sigmoid; })
        .def_property_readonly("gamma", [](const py::object& self) { return self_tone(self).gamma; })
        .def_property_readonly("scale", [](const py::object& self) { return self_tone(self).scale; })
        .def_property_readonly("offset", [](const py::object& self) { return self_tone(self).offset; });
    py::class_<Resampler>(m, "Resampler", py::is_final(), py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
        .def(py::init<const py::object&, const py::object&, const py::sequence&, const py::sequence&,
                      const std::string&, const std::string&, const std::string&, const py::sequence&>(),
             "to_stored"_a, py::kw_only(), "matrix"_a = py::none(), "before"_a, "after"_a, "filter"_a, "border"_a,
             "quality"_a = "exact", "fill"_a)
        .def(
            "__call__",
            [](const py::object& self, const py::object& stored, const py::object& out, std::int64_t threads) {
                self_resampler(self).call(stored, out, threads);
            },
            "stored"_a, "out"_a, "threads"_a = 1)
        .def(
            "from_file",
            [](const py::object& self, std::int64_t file, std::int64_t offset, std::int64_t unused,
               const py::sequence& shape, const std::string& dtype, const py::object& out, std::int64_t threads) {
                return self_resampler(self).call_file(file, offset, unused, shape, dtype, out, threads);
            },
            "file"_a, "offset"_a, "unused"_a, "shape"_a, "dtype"_a, "out"_a, "threads"_a = 1);
    m.def("resample", &resample_python, "stored"_a, "out"_a, "to_stored"_a, py::kw_only(), "matrix"_a = py::none(),
          "before"_a, "after"_a, "filter"_a, "border"_a, "quality"_a = "exact", "fill"_a, "threads"_a = 1);
    m.def("resample_batch", &resample_batch_python, "stored"_a, "out"_a, "to_stored"_a, py::kw_only(),
          "matrix"_a = py::none(), "before"_a, "after"_a, "filter"_a, "border"_a, "quality"_a = "exact", "fill"_a,
          "threads"_a = 1);
    m.def("read_values", &read_values_python, "file"_a, "offset"_a, "unused"_a, "out"_a);
    m.def("percentiles", &percentiles_python, "stored"_a, "q"_a, py::kw_only(), "threads"_a = 1);
}

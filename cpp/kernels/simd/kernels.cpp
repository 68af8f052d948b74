#include "kernels.hpp"

#include <cstring>

#ifdef MEDPLUG_HAS_X86
#include <cpuid.h>
#endif

namespace medplug {

#define MEDPLUG_DECLARE(isa)                                                                                           \
    namespace isa {                                                                                                    \
    template <class Stored>                                                                                            \
    void sum_rows(const RowSum&) noexcept;                                                                             \
    template <class Stored>                                                                                            \
    void pack_rows(const RowPack&) noexcept;                                                                           \
    template <class Stored>                                                                                            \
    void smooth_halves(const HalfPack&) noexcept;                                                                      \
    void make_tile(const TileJob&) noexcept;                                                                           \
    void make_linear_tile(const TileJob&) noexcept;                                                                    \
    void sum_columns(const ColumnSum&) noexcept;                                                                       \
    template <class Stored>                                                                                            \
    void lerp_rows(const RowLerp&) noexcept;                                                                           \
    void lerp_slices(const SliceLerp&) noexcept;                                                                       \
    template <class Stored>                                                                                            \
    void pack_box(const BoxRows&) noexcept;                                                                            \
    void lerp_tile(const TileLerp&) noexcept;                                                                          \
    template <class Stored>                                                                                            \
    void lerp_in_place(const TileLerp&) noexcept;                                                                      \
    constexpr Kernels table{sum_rows<std::uint8_t>,                                                                    \
                            sum_rows<std::int8_t>,                                                                     \
                            sum_rows<std::uint16_t>,                                                                   \
                            sum_rows<std::int16_t>,                                                                    \
                            pack_rows<std::uint8_t>,                                                                   \
                            pack_rows<std::int8_t>,                                                                    \
                            pack_rows<std::uint16_t>,                                                                  \
                            pack_rows<std::int16_t>,                                                                   \
                            smooth_halves<std::uint8_t>,                                                               \
                            smooth_halves<std::int8_t>,                                                                \
                            smooth_halves<std::uint16_t>,                                                              \
                            smooth_halves<std::int16_t>,                                                               \
                            make_tile,                                                                                 \
                            make_linear_tile,                                                                          \
                            sum_columns,                                                                               \
                            lerp_rows<std::uint8_t>,                                                                   \
                            lerp_rows<std::int8_t>,                                                                    \
                            lerp_rows<std::uint16_t>,                                                                  \
                            lerp_rows<std::int16_t>,                                                                   \
                            lerp_slices,                                                                               \
                            pack_box<std::uint8_t>,                                                                    \
                            pack_box<std::int8_t>,                                                                     \
                            pack_box<std::uint16_t>,                                                                   \
                            pack_box<std::int16_t>,                                                                    \
                            lerp_tile,                                                                                 \
                            lerp_in_place<std::uint16_t>,                                                              \
                            lerp_in_place<std::int16_t>};                                                              \
    }

MEDPLUG_DECLARE(plain)
#ifdef MEDPLUG_HAS_X86
MEDPLUG_DECLARE(avx2)
MEDPLUG_DECLARE(avx512)
#endif

namespace {

struct Choice {
    const char* name;
    const Kernels* table;
    bool gathers;
    bool runs_here;
    bool pays_here; // without being asked for
};

#ifdef MEDPLUG_HAS_X86
// CPUID leaf 7, EDX bit 23, is AVX512-FP16: Intel's Sapphire Rapids is the first to have it.
bool is_sapphire_rapids_or_later() noexcept {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_is("intel") && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 23 & 1) != 0;
}
#endif

// The best first.
template <class Visit>
void each_choice(const Visit& visit) {
#ifdef MEDPLUG_HAS_X86
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
    visit(Choice{"avx512-gather", &avx512::table, true, wide, is_sapphire_rapids_or_later()});
    visit(Choice{"avx512", &avx512::table, false, wide, true});
    visit(Choice{"avx2", &avx2::table, false, __builtin_cpu_supports("avx2") != 0, true});
#endif
    visit(Choice{"plain", &plain::table, false, true, true});
}

Choice chosen{"plain", &plain::table, false, true, true};

} // namespace

bool choose_kernels(const char* name) noexcept {
    bool found = false;
    each_choice([&](const Choice& choice) {
        if (!found && choice.runs_here && (name == nullptr ? choice.pays_here : std::strcmp(name, choice.name) == 0)) {
            chosen = choice;
            found = true;
        }
    });
    return found;
}

const char* instruction_set() noexcept {
    return chosen.name;
}

const Kernels& kernels() noexcept {
    return *chosen.table;
}

bool gathers_well() noexcept {
    return chosen.gathers;
}

} // namespace medplug

#include "stored_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <type_traits>
#include <unistd.h>

namespace medplug {

namespace {

constexpr std::int64_t kPart = std::int64_t{1} << 18; // bytes that are still in a cache when their bits are cleared

bool read_bytes(int descriptor, std::int64_t offset, std::int64_t count, std::byte* to) noexcept {
    while (count > 0) {
        const ssize_t got = ::pread(descriptor, to, static_cast<std::size_t>(count), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        offset += got;
        to += got;
        count -= got;
    }
    return true;
}

// In operations of the value's own width, which are as fast as memory; shifts there and back took six times as long.
template <class Stored>
void clear_unused(int unused, std::int64_t count, Stored* values) noexcept {
    using Bits = std::make_unsigned_t<Stored>;
    const auto used = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> unused);
    const auto sign = static_cast<Bits>(std::is_signed_v<Stored> ? used ^ (used >> 1) : 0);
    for (std::int64_t i = 0; i < count; ++i) {
        const auto value = static_cast<Bits>(static_cast<Bits>(values[i]) & used);
        values[i] = static_cast<Stored>(static_cast<Bits>((value ^ sign) - sign));
    }
}

} // namespace

template <class Stored>
bool read_values(const StoredFile& file, std::int64_t first, std::int64_t count, Stored* to) noexcept {
    constexpr auto item = static_cast<std::int64_t>(sizeof(Stored));
    for (std::int64_t done = 0; done < count;) {
        const std::int64_t part = std::min(count - done, kPart / item);
        if (!read_bytes(file.descriptor, file.offset + (first + done) * item, part * item,
                        reinterpret_cast<std::byte*>(to + done))) {
            return false;
        }
        if (std::is_integral_v<Stored> && file.unused > 0) {
            clear_unused(file.unused, part, to + done);
        }
        done += part;
    }
    return true;
}

template bool read_values(const StoredFile&, std::int64_t, std::int64_t, std::uint8_t*) noexcept;
template bool read_values(const StoredFile&, std::int64_t, std::int64_t, std::int8_t*) noexcept;
template bool read_values(const StoredFile&, std::int64_t, std::int64_t, std::uint16_t*) noexcept;
template bool read_values(const StoredFile&, std::int64_t, std::int64_t, std::int16_t*) noexcept;

} // namespace medplug

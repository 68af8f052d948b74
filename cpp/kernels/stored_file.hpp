#pragma once

#include <cstdint>

namespace medplug {

// Values that lie in an open file as they do in memory, from the byte `offset` on, each with `unused` bits above it
// (PS3.5 8.1.1).
struct StoredFile {
    int descriptor;
    std::int64_t offset;
    int unused;
};

// Reads the values first .. first + count - 1, and fills the bits above each with its sign or with zeros. False where
// the file ends before, or cannot be read. The file's position stays where it is, so threads may share it.
template <class Stored>
bool read_values(const StoredFile& file, std::int64_t first, std::int64_t count, Stored* to) noexcept;

} // namespace medplug

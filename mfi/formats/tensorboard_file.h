// TensorBoard event files, https://www.tensorflow.org/tensorboard.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mfi {

/// CRC-32C (Castagnoli), as in iSCSI, RFC 3720.
uint32_t crc32c(std::string_view bytes);

/// One record of TensorFlow's record files: length, masked CRC of the length, data, masked CRC of the data.
std::string tensorboard_record(std::string_view data);

/// An event file: first the event that names the format's version, then one event a row that has a scalar for every
/// named number of the row but "epoch", which is the event's step (the row's place from 1 where there is none).
///
/// wall_times: of each row, in seconds since 1970. No rows give no bytes. The same rows and times give the same bytes,
/// and further rows only add bytes at the end, so that a file can be appended to. Numbers are float32, as TensorBoard
/// shows them; NaN and infinities stay what they are. Throws std::invalid_argument when there are not as many times as
/// rows.
std::string tensorboard_events(const std::vector<std::vector<std::pair<std::string, double>>>& rows,
                               const std::vector<double>& wall_times);

}  // namespace mfi

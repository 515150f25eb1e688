/// \file
/// The Order contract as slow, obvious code over vectors of samples: what the tests
/// compare the arithmetic with. It says the same as tests/oracle/order.py, line by line,
/// with the product's own permutation put in. Tests alone include it.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "plan/deal.h"
#include "plan/epoch_order.h"

namespace headrace::plan::oracle {

/// One row: its block, and its number among the block's survivors.
struct Sample {
  int64_t block = 0;
  int64_t survivor = 0;

  auto operator<=>(const Sample&) const = default;
};

/// "3.0 3.1 0.4": how a failed expectation, or a golden, shows samples.
inline std::string Text(const std::vector<Sample>& samples) {
  std::string text;
  for (const Sample& sample : samples) {
    text += (text.empty() ? "" : " ") + std::to_string(sample.block) + "." +
            std::to_string(sample.survivor);
  }
  return text;
}

struct Streams {
  std::vector<std::vector<Sample>> streams;
  std::vector<Sample> remainder;
};

inline std::vector<uint32_t> Permutation(int64_t n, base::Purpose purpose,
                                         std::initializer_list<uint64_t> coordinates) {
  std::vector<uint32_t> permutation;
  base::FillPermutation(base::MixKey(purpose, coordinates), n, &permutation);
  return permutation;
}

/// All rows in the permuted, rotated order of blocks.
inline std::vector<Sample> RowSequence(const std::vector<int64_t>& survivors,
                                       const OrderSpec& spec) {
  const auto epoch = static_cast<uint64_t>(spec.epoch);
  std::vector<int64_t> blocks;  // a block without survivors is not in the order
  for (size_t b = 0; b < survivors.size(); ++b) {
    if (survivors[b] > 0) blocks.push_back(static_cast<int64_t>(b));
  }
  if (spec.shuffle) {
    std::vector<int64_t> permuted;
    for (uint32_t i : Permutation(static_cast<int64_t>(blocks.size()),
                                  base::Purpose::kBlocks, {spec.seed, epoch})) {
      permuted.push_back(blocks[i]);
    }
    blocks = permuted;
  }
  std::vector<Sample> rows;
  for (int64_t block : blocks) {
    for (int64_t i = 0; i < survivors[static_cast<size_t>(block)]; ++i) {
      rows.push_back({block, i});
    }
  }
  if (spec.shuffle && !rows.empty()) {
    base::KeyedRandom random(base::MixKey(base::Purpose::kRotation, {spec.seed, epoch}));
    const auto turn = static_cast<int64_t>(random.Below(rows.size()));
    std::rotate(rows.begin(), rows.begin() + turn, rows.end());
  }
  return rows;
}

/// The boundaries of a stream's shuffle windows, 0 and `length` among them.
inline std::vector<int64_t> Cuts(const OrderSpec& spec, int64_t stream, int64_t length) {
  const int64_t width = std::max<int64_t>(1, spec.shuffle_window_rows / spec.streams);
  std::vector<int64_t> cuts = {0};
  int64_t cut = ((stream + 1) * width + spec.streams - 1) / spec.streams;
  for (; cut < length; cut += width) cuts.push_back(cut);
  cuts.push_back(length);
  return cuts;
}

inline Streams StreamsOf(const std::vector<int64_t>& survivors, const OrderSpec& spec) {
  const std::vector<Sample> rows = RowSequence(survivors, spec);
  const int64_t length = static_cast<int64_t>(rows.size()) / spec.streams;
  Streams result;
  for (int64_t s = 0; s < spec.streams; ++s) {
    std::vector<Sample> run(rows.begin() + s * length, rows.begin() + (s + 1) * length);
    const std::vector<int64_t> cuts = Cuts(spec, s, length);
    for (size_t k = 0; spec.shuffle && k + 1 < cuts.size(); ++k) {
      const auto begin = run.begin() + cuts[k];
      const std::vector<Sample> window(begin, run.begin() + cuts[k + 1]);
      const auto place = Permutation(
          static_cast<int64_t>(window.size()), base::Purpose::kWindow,
          {spec.seed, static_cast<uint64_t>(spec.epoch), static_cast<uint64_t>(s), k});
      for (size_t j = 0; j < window.size(); ++j) begin[place[j]] = window[j];
    }
    result.streams.push_back(run);
  }
  result.remainder.assign(rows.begin() + spec.streams * length, rows.end());
  return result;
}

/// The global sequence: one sample from each stream in turn.
inline std::vector<Sample> Sequence(const Streams& of) {
  std::vector<Sample> sequence;
  for (size_t i = 0; i < of.streams[0].size(); ++i) {
    for (const auto& stream : of.streams) sequence.push_back(stream[i]);
  }
  return sequence;
}

struct Dealt {
  Sample sample;
  bool valid = true;

  bool operator==(const Dealt&) const = default;
};
using Steps = std::vector<std::vector<Dealt>>;

inline void AppendTail(const std::vector<Sample>& left, const DealSpec& spec,
                       Steps* steps) {
  const auto ranks = static_cast<size_t>(spec.world_size);
  const size_t width = static_cast<size_t>(spec.batch_size) * ranks;
  for (size_t k = 0; k < left.size(); k += width) {
    const std::vector<Sample> part(
        left.begin() + static_cast<int64_t>(k),
        left.begin() + static_cast<int64_t>(std::min(k + width, left.size())));
    std::vector<Dealt> mine;
    for (size_t i = static_cast<size_t>(spec.rank); i < part.size(); i += ranks) {
      mine.push_back({part[i], true});
    }
    mine.resize((part.size() + ranks - 1) / ranks, Dealt{part[0], false});
    steps->push_back(mine);
  }
}

/// The steps of one rank. `start` may lie in the remainder.
inline Steps DealOf(const Streams& of, const DealSpec& spec, int64_t start) {
  const std::vector<Sample> sequence = Sequence(of);
  const auto total = static_cast<int64_t>(sequence.size());
  const int64_t ranks = spec.world_size;
  const int64_t width = spec.batch_size * ranks;
  Steps steps;
  auto step_of = [&](int64_t begin, int64_t end) {
    std::vector<Dealt> mine;
    for (int64_t p = begin; p < end; ++p) {
      if (p % ranks == spec.rank)
        mine.push_back({sequence[static_cast<size_t>(p)], true});
    }
    steps.push_back(mine);
  };
  int64_t at = start;
  for (; total - at >= width; at += width) step_of(at, at + width);
  if (spec.pad_last || (ranks == 1 && !spec.drop_last)) {
    std::vector<Sample> left = sequence;
    left.insert(left.end(), of.remainder.begin(), of.remainder.end());
    left.erase(left.begin(), left.begin() + at);
    AppendTail(left, spec, &steps);
  } else if (!spec.drop_last && total - at >= ranks) {
    step_of(at, at + (total - at) / ranks * ranks);
  }
  return steps;
}

}  // namespace headrace::plan::oracle

/// \file
/// One stream of an epoch, filled window by window.
#pragma once

#include <headrace/result.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/scan.h"
#include "plan/deal.h"
#include "plan/epoch_order.h"
#include "reader/survivor_reader.h"
#include "window/window.h"

namespace headrace::pipeline {

/// What all streams of a pass share. Outlives them.
struct StreamContext {
  const Scan* scan = nullptr;
  const plan::EpochOrder* order = nullptr;
  SurvivorCounts survivors;
  const reader::ReadContext* read = nullptr;
  std::vector<window::WindowColumn> columns;
  /// Ends a filling with Cancelled.
  const std::atomic<bool>* stop = nullptr;
};

/// Fills the windows of one stream, or of the remainder, one after the other. Keeps its
/// row group open between windows. One thread at a time.
class Stream {
 public:
  /// Begins with the window that holds row `first` of the stream.
  Stream(const StreamContext* context, int id, int64_t first);

  /// Every window was filled.
  bool exhausted() const { return next_.first >= rows_; }
  /// The window that Fill would fill. REQUIRES: !exhausted().
  const plan::Window& next() const { return next_; }
  /// Fills it. `placement` is scratch.
  Result<std::unique_ptr<window::Window>> Fill(std::vector<uint32_t>* placement);

 private:
  plan::Window WindowAt(int64_t index) const;

  const StreamContext* context_;
  int id_;
  int64_t rows_;
  plan::Window next_;
  reader::SurvivorReader reader_;
};

}  // namespace headrace::pipeline

/// \file
/// The seam by which lower levels run work in parallel without starting threads.
#pragma once

#include <arrow/status.h>

#include <cstdint>
#include <functional>

namespace headrace::base {

/// Runs independent pieces of work. Only `pipeline` implements it with threads.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Calls `work(i)` for every i in [0, n), possibly at once, and waits for all of them.
  /// After the first failure no new call begins; the failure with the smallest i that was
  /// met is returned, so that errors do not depend on timing more than they must.
  virtual arrow::Status ForEach(int64_t n,
                                const std::function<arrow::Status(int64_t)>& work) = 0;
};

/// Runs everything on the caller's thread.
class InlineExecutor : public Executor {
 public:
  arrow::Status ForEach(int64_t n,
                        const std::function<arrow::Status(int64_t)>& work) override;
};

}  // namespace headrace::base

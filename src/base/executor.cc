#include "base/executor.h"

namespace headrace::base {

arrow::Status InlineExecutor::ForEach(int64_t n,
                                      const std::function<arrow::Status(int64_t)>& work) {
  for (int64_t i = 0; i < n; ++i) ARROW_RETURN_NOT_OK(work(i));
  return arrow::Status::OK();
}

}  // namespace headrace::base

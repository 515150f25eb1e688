// One epoch over a table from C++: opens it, chooses columns and rows, and takes the mean
// of each column, batch by batch, where a training loop would take a step.
//
//   train_loop TABLE COLUMN [COLUMN...] [--where FILTER]
#include <arrow/compute/initialize.h>
#include <headrace/dataset.h>
#include <headrace/loader.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

struct Arguments {
  std::string table;
  std::vector<std::string> columns;
  std::string filter;
};

// A training loop wants one type: everything is cast to float32, and nulls become 0.
headrace::Result<headrace::Dataset> Choose(const Arguments& arguments) {
  std::map<std::string, std::string> types;
  std::map<std::string, headrace::NullPolicy> nulls;
  for (const std::string& column : arguments.columns) {
    types[column] = "float32";
    nulls[column] = {.kind = headrace::NullPolicy::Kind::kFill};
  }
  ARROW_ASSIGN_OR_RAISE(auto dataset, headrace::Dataset::Open(arguments.table));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Select(arguments.columns));
  if (!arguments.filter.empty()) {
    ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(arguments.filter));
  }
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Cast(types));
  return dataset.Nulls(nulls);
}

headrace::Status Train(const Arguments& arguments) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, Choose(arguments));
  ARROW_ASSIGN_OR_RAISE(
      auto loader,
      headrace::Loader::Make(dataset, {.batch_size = 1024, .shuffle = true, .seed = 7}));
  std::map<std::string, double> sums;
  int64_t rows = 0;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, loader->Next());
    if (!batch.has_value()) break;  // the end of the epoch
    rows += batch->rows;
    for (size_t i = 0; i < batch->names.size(); ++i) {
      const auto& tensor = std::get<headrace::Tensor>(batch->columns[i]);
      const auto* values = reinterpret_cast<const float*>(tensor.data());
      for (int64_t j = 0; j < tensor.size(); ++j) sums[batch->names[i]] += values[j];
    }
  }
  std::cout << "rows " << rows << "\n";
  for (const std::string& column : arguments.columns) {
    std::cout << "mean " << column << " " << (rows == 0 ? 0.0 : sums[column] / rows)
              << "\n";
  }
  return headrace::Status::OK();
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--where" && i + 1 < argc) {
      arguments.filter = argv[++i];
    } else if (arguments.table.empty()) {
      arguments.table = word;
    } else {
      arguments.columns.emplace_back(word);
    }
  }
  if (arguments.columns.empty()) {
    std::cerr << "usage: train_loop TABLE COLUMN [COLUMN...] [--where FILTER]\n";
    return EXIT_FAILURE;
  }
  headrace::Status status = arrow::compute::Initialize();
  if (status.ok()) status = Train(arguments);
  if (!status.ok()) {
    std::cerr << headrace::KindName(headrace::KindOf(status)) << ": "
              << headrace::MessageOf(status) << "\n";
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

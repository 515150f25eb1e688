/// \file
/// What this machine allows: Arrow's own decode of a table's columns, and memcpy.
///
/// `headrace_limit THREADS ROUNDS COLUMN[,COLUMN...] FILE...` decodes every row group of
/// the files with `FileReader::ReadRowGroup`, each thread its share of the row groups,
/// and makes no batches. After a round that is not counted it prints one line of JSON:
/// the rows, the seconds of each round, and the bytes a second that one thread copies
/// from one buffer of 64 MiB to another.
#include <arrow/io/file.h>
#include <arrow/memory_pool.h>
#include <arrow/result.h>
#include <arrow/table.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::unique_ptr<parquet::arrow::FileReader> Open(const std::string& path) {
  auto input = arrow::io::MemoryMappedFile::Open(path, arrow::io::FileMode::READ);
  PARQUET_THROW_NOT_OK(input.status());
  PARQUET_ASSIGN_OR_THROW(auto reader,
                          parquet::arrow::OpenFile(*input, arrow::default_memory_pool()));
  reader->set_use_threads(false);
  return reader;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

struct RowGroup {
  const std::string* path;
  int index;
};

/// Decodes every row group and returns how many rows there were.
int64_t Decode(const std::vector<std::string>& files, const std::vector<int>& columns,
               int threads) {
  std::vector<RowGroup> groups;
  for (const std::string& path : files) {
    const int count =
        parquet::ParquetFileReader::OpenFile(path)->metadata()->num_row_groups();
    for (int i = 0; i < count; ++i) groups.push_back({&path, i});
  }
  std::atomic<size_t> next{0};
  std::atomic<int64_t> rows{0};
  std::vector<std::exception_ptr> failures(static_cast<size_t>(threads));
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        try {
          for (size_t i = next++; i < groups.size(); i = next++) {
            PARQUET_ASSIGN_OR_THROW(
                auto table,
                Open(*groups[i].path)->ReadRowGroup(groups[i].index, columns));
            rows += table->num_rows();
          }
        } catch (...) {
          failures[static_cast<size_t>(t)] = std::current_exception();
        }
      });
    }
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return rows;
}

double CopyBytesPerSecond() {
  constexpr size_t kBytes = size_t{64} << 20;
  constexpr int kRounds = 16;
  const std::vector<char> from(kBytes, 'a');
  std::vector<char> to(kBytes, 'b');
  const auto begin = Clock::now();
  for (int i = 0; i < kRounds; ++i) std::memcpy(to.data(), from.data(), kBytes);
  return kRounds * static_cast<double>(kBytes) / SecondsSince(begin);
}

int Run(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: headrace_limit THREADS ROUNDS COLUMN[,COLUMN...] FILE...\n";
    return 2;
  }
  const int threads = std::atoi(argv[1]);
  const int rounds = std::atoi(argv[2]);
  const std::vector<std::string> names = Split(argv[3]);
  const std::vector<std::string> files(argv + 4, argv + argc);
  const auto schema = parquet::ParquetFileReader::OpenFile(files[0])->metadata();
  std::vector<int> columns;
  for (const std::string& name : names) {
    const int index = schema->schema()->ColumnIndex(name);
    if (index < 0 || threads < 1 || rounds < 1) {
      std::cerr << "no column \"" << name << "\", or no threads or rounds\n";
      return 2;
    }
    columns.push_back(index);
  }
  const int64_t rows = Decode(files, columns, threads);
  std::cout << "{\"rows\": " << rows << ", \"seconds\": [";
  for (int i = 0; i < rounds; ++i) {
    const auto begin = Clock::now();
    Decode(files, columns, threads);
    std::cout << (i == 0 ? "" : ", ") << SecondsSince(begin);
  }
  std::cout << "], \"copy_bytes_per_second\": " << CopyBytesPerSecond() << "}\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}

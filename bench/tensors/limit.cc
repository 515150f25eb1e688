/// \file
/// What this machine allows for columns of cells: reading their chunks and copying each
/// value once.
///
/// `headrace_cells_limit THREADS ROUNDS HEADER COLUMN[,COLUMN...] FILE...` reads the byte
/// arrays of every row group of the files, each thread its share, and copies all but the
/// first HEADER bytes of each to memory that is used again. After a round that is not
/// counted it prints one line of JSON: the rows and the seconds of each round.
#include <arrow/io/file.h>
#include <parquet/column_reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kCells = 64;
constexpr size_t kPlaces = 64 << 20;

struct RowGroup {
  const std::string* path;
  int index;
};

struct Work {
  std::vector<std::string> files;
  std::vector<std::string> columns;
  size_t header = 0;
  std::vector<RowGroup> groups;
};

int64_t CopyColumn(parquet::RowGroupReader* group, int column, size_t header,
                   std::vector<uint8_t>* out) {
  auto reader = std::static_pointer_cast<parquet::ByteArrayReader>(group->Column(column));
  std::vector<parquet::ByteArray> cells(kCells);
  std::vector<int16_t> levels(kCells);
  int64_t rows = 0;
  size_t at = 0;
  while (reader->HasNext()) {
    int64_t values = 0;
    rows += reader->ReadBatch(kCells, levels.data(), nullptr, cells.data(), &values);
    for (int64_t i = 0; i < values; ++i) {
      const parquet::ByteArray& cell = cells[static_cast<size_t>(i)];
      const size_t bytes = cell.len - header;
      if (at + bytes > out->size()) at = 0;
      std::memcpy(out->data() + at, cell.ptr + header, bytes);
      at += bytes;
    }
  }
  return rows;
}

int64_t Copy(const Work& work, int threads) {
  std::atomic<size_t> next{0};
  std::atomic<int64_t> rows{0};
  std::vector<std::exception_ptr> failures(static_cast<size_t>(threads));
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        try {
          std::vector<uint8_t> out(kPlaces);
          for (size_t i = next++; i < work.groups.size(); i = next++) {
            auto file = parquet::ParquetFileReader::OpenFile(*work.groups[i].path);
            auto group = file->RowGroup(work.groups[i].index);
            for (const std::string& column : work.columns) {
              const int index = file->metadata()->schema()->ColumnIndex(column);
              const int64_t read = CopyColumn(group.get(), index, work.header, &out);
              if (&column == &work.columns[0]) rows += read;
            }
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

int Run(int argc, char** argv) {
  if (argc < 6) {
    std::cerr << "usage: headrace_cells_limit THREADS ROUNDS HEADER COLUMN[,COLUMN...] "
                 "FILE...\n";
    return 2;
  }
  const int threads = std::atoi(argv[1]);
  Work work;
  work.header = static_cast<size_t>(std::atoi(argv[3]));
  std::istringstream names(argv[4]);
  for (std::string name; std::getline(names, name, ',');) work.columns.push_back(name);
  work.files.assign(argv + 5, argv + argc);
  for (const std::string& path : work.files) {
    const int count =
        parquet::ParquetFileReader::OpenFile(path)->metadata()->num_row_groups();
    for (int i = 0; i < count; ++i) work.groups.push_back({&path, i});
  }
  const int64_t rows = Copy(work, threads);
  std::cout << "{\"rows\": " << rows << ", \"seconds\": [";
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    const auto begin = Clock::now();
    Copy(work, threads);
    std::cout << (i == 0 ? "" : ", ")
              << std::chrono::duration<double>(Clock::now() - begin).count();
  }
  std::cout << "]}\n";
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

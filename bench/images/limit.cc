/// \file
/// What this machine allows: libjpeg-turbo and our resize in a bare loop.
///
/// `headrace_image_limit THREADS ROUNDS SIZE FILE...` holds the binary column `image` of
/// Parquet files in memory and, each thread taking the next 64 of them, decodes the JPEGs
/// whole and resizes them to SIZE x SIZE RGB in a buffer of its own. After a round that
/// is not counted it prints one line of JSON: the images, the seconds of each round.
#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/io/file.h>
#include <arrow/table.h>
#include <jpeglib.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "transform/resample.h"

namespace {

using Clock = std::chrono::steady_clock;
using headrace::transform::Resampling;
using headrace::transform::Scratch;

constexpr size_t kBatch = 64;

std::shared_ptr<arrow::Table> Read(const std::string& path) {
  PARQUET_ASSIGN_OR_THROW(auto input, arrow::io::ReadableFile::Open(path));
  PARQUET_ASSIGN_OR_THROW(auto reader,
                          parquet::arrow::OpenFile(input, arrow::default_memory_pool()));
  PARQUET_ASSIGN_OR_THROW(auto table, reader->ReadTable());
  return table;
}

/// A thread's memory, grown as needed.
struct Room {
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> batch;
  Scratch scratch{arrow::default_memory_pool()};
};

void Decode(std::string_view jpeg, int64_t size, uint8_t* out, Room* room) {
  jpeg_decompress_struct info = {};
  jpeg_error_mgr errors = {};
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(jpeg.data()), jpeg.size());
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&info);
  const int64_t row_bytes = int64_t{info.output_width} * 3;
  const auto bytes =
      static_cast<size_t>(row_bytes * info.output_height + Scratch::kSlack);
  if (room->pixels.size() < bytes) room->pixels.resize(bytes);
  while (info.output_scanline < info.output_height) {
    JSAMPROW rows[8];
    for (int i = 0; i < 8; ++i) {
      rows[i] = room->pixels.data() + (info.output_scanline + i) * row_bytes;
    }
    jpeg_read_scanlines(&info, rows,
                        std::min(8U, info.output_height - info.output_scanline));
  }
  Resampling job{.in = room->pixels.data(),
                 .in_height = info.output_height,
                 .in_width = info.output_width,
                 .in_row_bytes = row_bytes,
                 .channels = 3,
                 .box = {0, 0, static_cast<double>(info.output_height),
                         static_cast<double>(info.output_width)},
                 .height = size,
                 .width = size,
                 .out = out};
  PARQUET_THROW_NOT_OK(headrace::transform::Resample(job, &room->scratch));
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
}

void DecodeAll(const std::vector<std::string_view>& jpegs, int64_t size, int threads) {
  std::atomic<size_t> next{0};
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      Room room;
      room.batch.resize(kBatch * static_cast<size_t>(size * size * 3));
      for (size_t from = next.fetch_add(kBatch); from < jpegs.size();
           from = next.fetch_add(kBatch)) {
        for (size_t i = from; i < std::min(jpegs.size(), from + kBatch); ++i) {
          uint8_t* const out =
              room.batch.data() + (i - from) * static_cast<size_t>(size * size * 3);
          Decode(jpegs[i], size, out, &room);
        }
      }
    });
  }
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) {
    std::cerr << "usage: headrace_image_limit THREADS ROUNDS SIZE FILE...\n";
    return 2;
  }
  const int threads = std::stoi(arguments[0]);
  const int rounds = std::stoi(arguments[1]);
  const int64_t size = std::stoll(arguments[2]);
  std::vector<std::shared_ptr<arrow::Table>> tables;
  std::vector<std::string_view> jpegs;
  for (size_t i = 3; i < arguments.size(); ++i) {
    tables.push_back(Read(arguments[i]));
    for (const auto& chunk : tables.back()->GetColumnByName("image")->chunks()) {
      const auto& values = static_cast<const arrow::BinaryArray&>(*chunk);
      for (int64_t k = 0; k < values.length(); ++k) jpegs.push_back(values.GetView(k));
    }
  }
  DecodeAll(jpegs, size, threads);
  std::cout << "{\"images\": " << jpegs.size() << ", \"seconds\": [";
  for (int i = 0; i < rounds; ++i) {
    const auto begin = Clock::now();
    DecodeAll(jpegs, size, threads);
    std::cout << (i == 0 ? "" : ", ")
              << std::chrono::duration<double>(Clock::now() - begin).count();
  }
  std::cout << "]}\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "headrace_image_limit: " << error.what() << "\n";
    return 1;
  }
}

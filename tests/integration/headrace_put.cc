// headrace_put URI COUNT SIZE [OPTION=VALUE]...: for tests of put-if-absent, which only
// the library's own commits call. COUNT threads at once put SIZE bytes each, that begin
// with "I:" if there is room, I being the thread's number; prints what each got, or the
// error.
#include <headrace/result.h>

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "storage/storage.h"

int main(int argc, char** argv) {
  using headrace::storage::Storage;
  if (argc < 4) return 2;
  const int count = std::stoi(argv[2]);
  const auto size = static_cast<size_t>(std::stoul(argv[3]));
  std::map<std::string, std::string> options;
  for (int i = 4; i < argc; ++i) {
    const std::string option = argv[i];
    const size_t equals = std::min(option.find('='), option.size() - 1);
    options[option.substr(0, equals)] = option.substr(equals + 1);
  }
  std::string path;
  auto storage = Storage::FromUri(argv[1], options, &path);
  if (!storage.ok()) {
    std::cout << headrace::KindName(headrace::KindOf(storage.status())) << ": "
              << headrace::MessageOf(storage.status()) << "\n";
    return 1;
  }
  std::vector<std::string> said(static_cast<size_t>(count));
  std::barrier all(count);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        std::string bytes = std::to_string(i) + ":";
        bytes.resize(size, '.');
        all.arrive_and_wait();
        auto put = (*storage)->PutIfAbsent(path, bytes);
        said[static_cast<size_t>(i)] =
            put.ok() ? (*put ? "true" : "false")
                     : std::string(headrace::KindName(headrace::KindOf(put.status()))) +
                           ": " + headrace::MessageOf(put.status());
      });
    }
  }
  for (const std::string& line : said) std::cout << line << "\n";
  return 0;
}

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "storage/s3/module.h"

namespace headrace::storage {
namespace {

S3FinalizeFunction finalize_s3 = nullptr;

// The module lies beside this very library.
std::string ModulePath() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&ModulePath), &info) == 0) return kS3Module;
  const std::string self = info.dli_fname;
  const size_t slash = self.rfind('/');
  return slash == std::string::npos ? kS3Module : self.substr(0, slash + 1) + kS3Module;
}

Result<S3MakeFunction> LoadModule() {
  void* module = dlopen(ModulePath().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    return Error(ErrorKind::kUnsupported,
                 std::string("S3 is not in this installation (") + dlerror() +
                     "): install headrace with its libheadrace_s3.so, and Arrow with S3");
  }
  auto make = reinterpret_cast<S3MakeFunction>(dlsym(module, kS3MakeName));
  finalize_s3 = reinterpret_cast<S3FinalizeFunction>(dlsym(module, kS3FinalizeName));
  if (make == nullptr || finalize_s3 == nullptr) {
    return Error(ErrorKind::kInternal, "libheadrace_s3.so is of another version");
  }
  return make;
}

// A process that ends without this crashes. It has to run before the destructors of what
// calls initialized, so it is registered after them: until one has gone well, as those
// that fail initialize only a part. Ending twice does nothing.
void RegisterEnd(bool made) {
  static std::atomic<bool> registered_after_all = false;
  if (registered_after_all.load()) return;
  std::atexit([] { finalize_s3(); });
  if (made) registered_after_all = true;
}

}  // namespace

Result<System> MakeS3(const std::string& uri, const OptionMap& given) {
  ARROW_ASSIGN_OR_RAISE(
      Options options,
      Options::Make(
          "S3", given,
          {"endpoint_override", "region", "scheme", "access_key", "secret_key",
           "session_token", "anonymous", "connect_timeout", "request_timeout"}));
  if (options.Has("access_key") != options.Has("secret_key")) {
    return Error(
        ErrorKind::kInvalidArgument,
        "storage options \"access_key\" and \"secret_key\" go together, found only one");
  }
  static const Result<S3MakeFunction> make = LoadModule();
  ARROW_RETURN_NOT_OK(make.status());
  System system;
  Status made;
  (*make)(uri, options, &system, &made);
  RegisterEnd(made.ok());
  ARROW_RETURN_NOT_OK(made);
  return system;
}

}  // namespace headrace::storage

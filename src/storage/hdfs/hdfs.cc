#include <arrow/filesystem/hdfs.h>
#include <arrow/util/uri.h>

#include "storage/system.h"

namespace headrace::storage {

Result<System> MakeHdfs(const std::string& uri, const OptionMap& given) {
  ARROW_ASSIGN_OR_RAISE(Options options,
                        Options::Make("HDFS", given, {"user", "kerb_ticket"}));
  arrow::util::Uri parsed;
  ARROW_RETURN_NOT_OK(parsed.Parse(uri));
  ARROW_ASSIGN_OR_RAISE(auto hdfs, arrow::fs::HdfsOptions::FromUri(parsed));
  if (options.Has("user")) hdfs.ConfigureUser(options.Get("user"));
  if (options.Has("kerb_ticket")) {
    hdfs.ConfigureKerberosTicketCachePath(options.Get("kerb_ticket"));
  }
  auto filesystem = arrow::fs::HadoopFileSystem::Make(hdfs);
  if (!filesystem.ok()) {
    // Further lines tell of every place that was looked at.
    const std::string& whole = filesystem.status().message();
    const std::string said = whole.substr(0, whole.find('\n'));
    if (whole.find("libhdfs") == std::string::npos &&
        whole.find("libjvm") == std::string::npos) {
      return filesystem.status();
    }
    return Error(
        ErrorKind::kUnsupported,
        WithoutCredentials(uri) +
            ": HDFS needs Java and Hadoop's libhdfs, which were not found (" + said +
            "): install them and set JAVA_HOME, HADOOP_HOME or ARROW_LIBHDFS_DIR, and "
            "CLASSPATH");
  }
  return System{.filesystem = *filesystem,
                .path = parsed.path(),
                .display_prefix = "hdfs://" + parsed.host(),
                .retry = RetryPolicy()};
}

}  // namespace headrace::storage

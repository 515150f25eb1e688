/// \file
/// Who asks Google's stores. Arrow finds the same credentials, and keeps them to itself.
#pragma once

#include <headrace/result.h>

#include <string>

#include "storage/http.h"
#include "storage/token.h"

namespace headrace::storage {

/// A token that a service account signs itself by its key file, and Google takes without
/// an exchange. InvalidArgument if it has no RSA key.
Result<Token> SignOwnToken(const std::string& key_file);

/// Google's application default credentials: the file that GOOGLE_APPLICATION_CREDENTIALS
/// names, that of `gcloud auth application-default login`, or else the service account of
/// the machine (GCE_METADATA_ROOT: where it is asked for). The file is read now, and
/// nobody asked. Unsupported, with its path, if it is of a kind that we cannot use.
Result<AskToken> FindGoogleCredentials(HttpSend send);

}  // namespace headrace::storage

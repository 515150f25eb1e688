/// \file
/// What proves to object stores who asks: hashes and signatures, by OpenSSL.
#pragma once

#include <headrace/result.h>

#include <string>
#include <string_view>

namespace headrace::storage {

/// In lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);

/// HMAC-SHA256 with a key in base64, in base64. InvalidArgument if the key is none.
Result<std::string> HmacSha256(std::string_view key_base64, std::string_view text);

/// A JSON web token signed with RS256, by a private key in PEM. `header` and `claims` are
/// JSON. InvalidArgument if the key is none.
Result<std::string> SignedToken(std::string_view header, std::string_view claims,
                                std::string_view private_key_pem);

}  // namespace headrace::storage

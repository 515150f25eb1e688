// Meant to fail within seconds: it proves that the build finds faults and the runner
// reports them.
#include <cstddef>
#include <cstdint>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 3 || bytes[0] != 'b' || bytes[1] != 'u' || bytes[2] != 'g') return 0;
  const std::vector<uint8_t> copy(bytes, bytes + size);
  const volatile uint8_t* values = copy.data();
  return values[size] == 0 ? 0 : 0;  // one past the end
}

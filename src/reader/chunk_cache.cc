#include "reader/chunk_cache.h"

#include <arrow/util/thread_pool.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

namespace headrace::reader {
namespace {

using Part = ChunkCache::Block::Part;

// Chunks are read together up to this size, so that what is let go of is not all.
constexpr int64_t kBlockBytesMax = int64_t{32} << 20;

int64_t EndOf(const ByteRange& range) { return range.offset + range.size; }

/// The ranges in order, those that lie side by side as one, unless it gets too large.
std::vector<ByteRange> Merged(std::vector<ByteRange> ranges) {
  std::ranges::sort(ranges, {}, &ByteRange::offset);
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    const bool beside = !merged.empty() && EndOf(merged.back()) >= range.offset;
    const bool small = beside && EndOf(range) - merged.back().offset <= kBlockBytesMax;
    if (beside && (small || EndOf(range) <= EndOf(merged.back()))) {
      ByteRange& last = merged.back();
      last.size = std::max(last.size, EndOf(range) - last.offset);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

/// Whether a range has a byte; if it begins after it, `*next` is no later than there.
bool Has(const ByteRange& range, int64_t offset, int64_t* next) {
  if (range.offset > offset) *next = std::min(*next, range.offset);
  return range.offset <= offset && offset < EndOf(range);
}

}  // namespace

ChunkCache::~ChunkCache() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  loaded_.wait(lock, [&] { return in_flight_ == 0; });
}

std::shared_ptr<ChunkCache::Block> ChunkCache::Find(int64_t fragment, int64_t offset,
                                                    int64_t* next) {
  for (auto at = blocks_.begin(); at != blocks_.end(); ++at) {
    if ((*at)->fragment != fragment || (*at)->failed) continue;
    if (!Has((*at)->range, offset, next)) continue;
    blocks_.splice(blocks_.end(), blocks_, at);
    return blocks_.back();
  }
  return nullptr;
}

void ChunkCache::LetGo(int64_t bytes, bool kept) {
  for (auto at = blocks_.begin(); at != blocks_.end() && bytes_ + bytes > capacity_;) {
    Block& block = **at;
    // Tasks that come late, to parts that others have read, hold it and do not use it.
    const bool used = at->use_count() > 1 + block.tasks ||
                      std::ranges::find(block.parts, Part::kLoading) != block.parts.end();
    if (used || block.kept != kept) {
      ++at;
      continue;
    }
    bytes_ -= block.range.size;
    block.failed = true;
    block.bytes.reset();
    at = blocks_.erase(at);
  }
}

bool ChunkCache::MakeRoom(int64_t bytes) {
  LetGo(bytes, /*kept=*/false);
  LetGo(bytes, /*kept=*/true);
  return bytes_ + bytes <= capacity_;
}

std::shared_ptr<ChunkCache::Block> ChunkCache::Add(int64_t fragment,
                                                   const ByteRange& range) {
  auto block = std::make_shared<Block>();
  block->fragment = fragment;
  block->range = range;
  const int64_t part = PartBytes(*block);
  block->parts.assign(static_cast<size_t>((range.size + part - 1) / part),
                      Part::kLoading);
  blocks_.push_back(block);
  bytes_ += range.size;
  return block;
}

ByteRange ChunkCache::RangeOf(const Block& block, size_t part) const {
  const int64_t bytes = PartBytes(block);
  const int64_t begin = static_cast<int64_t>(part) * bytes;
  return {block.range.offset + begin, std::min(bytes, block.range.size - begin)};
}

void ChunkCache::Drop(const std::shared_ptr<Block>& block) {
  const std::scoped_lock lock(mutex_);
  std::ranges::fill(block->parts, Part::kFailed);
  block->failed = true;
  loaded_.notify_all();
}

Status ChunkCache::LoadPart(const std::shared_ptr<Block>& block, size_t part,
                            arrow::io::RandomAccessFile* file) {
  const ByteRange range = RangeOf(*block, part);
  uint8_t* const out =
      block->bytes->mutable_data() + (range.offset - block->range.offset);
  const auto got = file->ReadAt(range.offset, range.size, out);
  const std::scoped_lock lock(mutex_);
  const bool there = got.ok() && *got == range.size;
  block->parts[part] = there ? Part::kThere : Part::kFailed;
  if (!there && !block->failed) {
    block->failed = true;
    block->failure = got.status();
  }
  loaded_.notify_all();
  return got.status();
}

bool ChunkCache::Take(const std::shared_ptr<Block>& block, size_t part) {
  const std::scoped_lock lock(mutex_);
  if (ending_ || block->parts[part] != Part::kWaiting) return false;
  // Where a pass was left, blocks_ and tasks alone hold it.
  if (block.use_count() <= 1 + block->tasks) block->failed = true;
  if (block->failed) return false;
  block->parts[part] = Part::kLoading;
  return true;
}

void ChunkCache::LoadInBackground(const std::shared_ptr<Block>& block, size_t part,
                                  const File& file) {
  auto load = [this, part, block = block, file = file]() mutable {
    if (Take(block, part)) {
      static_cast<void>(LoadPart(block, part, file.get()));  // Wait tells
    }
    file.reset();
    const std::scoped_lock lock(mutex_);
    --block->tasks;
    block.reset();  // its pool may go with the cache
    --in_flight_;
    loaded_.notify_all();
  };
  std::unique_lock lock(mutex_);
  ++in_flight_;
  ++block->tasks;
  lock.unlock();
  if (background_.executor->Spawn(std::move(load)).ok()) return;
  lock.lock();
  --in_flight_;  // who needs the part reads it
  --block->tasks;
}

Status ChunkCache::Load(const std::shared_ptr<Block>& block, const File& file) {
  auto bytes = arrow::AllocateBuffer(block->range.size, pool_);
  if (!bytes.ok()) {
    Drop(block);
    // Without memory there is reading bit by bit.
    return bytes.status().IsOutOfMemory() ? Status::OK() : bytes.status();
  }
  block->bytes = *std::move(bytes);
  if (!in_background()) return LoadPart(block, 0, file.get());
  {
    const std::scoped_lock lock(mutex_);
    std::ranges::fill(block->parts, Part::kWaiting);
    loaded_.notify_all();
  }
  for (size_t part = 0; part < block->parts.size(); ++part) {
    LoadInBackground(block, part, file);
  }
  return Status::OK();
}

Result<ChunkCache::Blocks> ChunkCache::Get(int64_t fragment,
                                           const std::vector<ByteRange>& ranges,
                                           const File& file, bool keep) {
  Blocks blocks;
  Blocks added;
  std::vector<ByteRange> missing;
  {
    const std::scoped_lock lock(mutex_);
    for (const ByteRange& range : ranges) {
      for (int64_t at = range.offset; at < EndOf(range);) {
        int64_t next = EndOf(range);
        auto block = Find(fragment, at, &next);
        if (block == nullptr) {
          missing.push_back({at, next - at});
          at = next;
          continue;
        }
        at = EndOf(block->range);
        block->kept = keep;
        if (std::ranges::find(blocks, block) == blocks.end()) {
          blocks.push_back(std::move(block));
        }
      }
    }
    for (const ByteRange& range : Merged(std::move(missing))) {
      if (!MakeRoom(range.size)) continue;
      added.push_back(Add(fragment, range));
      added.back()->kept = keep;
    }
  }
  Status failure;
  for (const auto& block : added) {
    if (failure.ok()) {
      failure = Load(block, file);
    } else {
      Drop(block);
    }
  }
  ARROW_RETURN_NOT_OK(failure);
  const std::scoped_lock lock(mutex_);
  std::ranges::copy_if(added, std::back_inserter(blocks),
                       [](const auto& block) { return !block->failed; });
  return blocks;
}

Result<bool> ChunkCache::Wait(const std::shared_ptr<Block>& block, const ByteRange& bytes,
                              arrow::io::RandomAccessFile* file) {
  const int64_t part_bytes = PartBytes(*block);
  const int64_t begin = bytes.offset - block->range.offset;
  const auto last = static_cast<size_t>((begin + bytes.size - 1) / part_bytes);
  std::unique_lock lock(mutex_);
  for (auto part = static_cast<size_t>(begin / part_bytes); part <= last;) {
    switch (block->parts[part]) {
      case Part::kThere:
        ++part;
        break;
      case Part::kFailed:
        ARROW_RETURN_NOT_OK(block->failure);
        return false;
      case Part::kWaiting:
        block->parts[part] = Part::kLoading;
        lock.unlock();
        ARROW_RETURN_NOT_OK(LoadPart(block, part, file));
        lock.lock();
        break;
      case Part::kLoading: {
        std::optional<base::Timed> waiting;
        if (background_.timeline != nullptr) {
          waiting.emplace(background_.timeline, base::Activity::kRead, bytes.size);
        }
        loaded_.wait(lock, [&] { return block->parts[part] != Part::kLoading; });
        break;
      }
    }
  }
  return true;
}

Result<bool> CachedFile::Hold(const std::vector<ByteRange>& ranges, bool keep) {
  ARROW_ASSIGN_OR_RAISE(auto blocks, cache_->Get(fragment_, ranges, ahead_, keep));
  blocks_.insert(blocks_.end(), blocks.begin(), blocks.end());
  for (const ByteRange& range : ranges) {
    for (int64_t at = range.offset; at < EndOf(range);) {
      int64_t next = EndOf(range);
      const auto block = Holding(at, &next);
      if (block == nullptr) return false;
      at = EndOf(block->range);
    }
  }
  return true;
}

std::shared_ptr<ChunkCache::Block> CachedFile::Holding(int64_t offset,
                                                       int64_t* next) const {
  for (const auto& block : blocks_) {
    if (Has(block->range, offset, next)) return block;
  }
  return nullptr;
}

arrow::Result<int64_t> CachedFile::ReadAt(int64_t position, int64_t nbytes, void* out) {
  auto* to = static_cast<uint8_t*>(out);
  for (int64_t at = position; at < position + nbytes;) {
    int64_t next = position + nbytes;
    const auto block = Holding(at, &next);
    const int64_t end = block == nullptr ? next : std::min(next, EndOf(block->range));
    bool held = block != nullptr;
    if (held) {
      ARROW_ASSIGN_OR_RAISE(held, cache_->Wait(block, {at, end - at}, file_.get()));
    }
    if (held) {
      std::memcpy(to, block->bytes->data() + (at - block->range.offset),
                  static_cast<size_t>(end - at));
    } else {
      ARROW_ASSIGN_OR_RAISE(const int64_t got, file_->ReadAt(at, end - at, to));
      if (got < end - at) return at + got - position;
    }
    to += end - at;
    at = end;
  }
  return nbytes;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> CachedFile::ReadAt(int64_t position,
                                                                 int64_t nbytes) {
  int64_t next = 0;
  const auto block = Holding(position, &next);
  if (block == nullptr || position + nbytes > EndOf(block->range)) {
    return file_->ReadAt(position, nbytes);
  }
  ARROW_ASSIGN_OR_RAISE(const bool there,
                        cache_->Wait(block, {position, nbytes}, file_.get()));
  if (!there) return file_->ReadAt(position, nbytes);
  return arrow::SliceBuffer(block->bytes, position - block->range.offset, nbytes);
}

}  // namespace headrace::reader

"""Memory of the emulated device: what may be touched, and whether accesses of different warps are ordered.

Everything begins as NaN in every floating-point type (bytes FF), so what is read before it is written shows in the results.
"""
import numpy as np

from ptx import PtxError

u1, u2, u4, u8, i4, f4 = np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.float32

READ, WRITE = 1, 2
SHARED = 1 << 56  # where the generic addresses of shared and local memory begin
LOCAL = 2 << 56
IN_FLIGHT = np.iinfo(i4).max  # the time of a read that an asynchronous operation has yet to finish


class Memory:
    """A range of addresses. `allow` says what the kernel may do with a part of it."""

    def __init__(self, name, base, size):
        self.name, self.base = name, base
        size = -(-size // 16) * 16
        self.bytes = np.full(size, 0xFF, u1)
        self.views = {1: self.bytes, 2: self.bytes.view(u2), 4: self.bytes.view(u4), 8: self.bytes.view(u8)}
        self.access = np.zeros(size + 1, u1)  # the last entry is for addresses outside
        self.origin = u8(base)
        self.history = None

    def allow(self, begin, size, access):
        self.access[begin : begin + size] = access

    def holds(self, address):
        return self.base <= address < self.base + len(self.bytes)

    def offsets(self, addresses, size, access):
        """Where the addresses lie in here; all `size` bytes from each must be allowed and aligned."""
        offsets = addresses - self.origin
        if (offsets & u8(size - 1)).any():
            self.refuse(addresses, offsets & u8(size - 1) != 0, f"is not aligned to {size} bytes")
        ends = np.minimum(offsets + u8(size - 1), u8(len(self.bytes)))
        first, last = np.minimum(offsets, ends).astype(np.intp), ends.astype(np.intp)
        allowed = self.access.take(first) & self.access.take(last) & u1(access)
        if not allowed.all():
            self.refuse(addresses, allowed == 0, "may not be " + ("read" if access == READ else "written"))
        return offsets

    def refuse(self, addresses, wrong, what):
        lane = int(np.flatnonzero(wrong)[0])
        raise PtxError(f"{self.name} address {int(addresses[lane]):#x} {what} (access {lane} of the warp's)")

    def load(self, warp, addresses, width, count, lanes):
        """`count` values of `width` bytes from each address, for these lanes of the warp."""
        offsets = self.offsets(addresses, width * count, READ)
        if self.history:
            touched = words(offsets, width * count)
            self.history.alone(warp, touched, lanes, "reads")
            self.history.read(warp, touched)
        view = self.views[width]
        first = (offsets // u8(width)).astype(np.intp)
        return [view.take(first + i if i else first) for i in range(count)]

    def store(self, warp, addresses, width, values, lanes):
        offsets = self.offsets(addresses, width * len(values), WRITE)
        if self.history:
            touched = words(offsets, width * len(values))
            if width >= 4:
                self.history.alone(warp, touched, lanes, "writes")
            self.history.write(warp, touched)
            self.history.lane[touched] = lanes.repeat(len(touched) // len(lanes))
        view = self.views[width]
        first = (offsets // u8(width)).astype(np.intp)
        for i, value in enumerate(values):
            view[first + i] = value


def words(offsets, size):
    """The numbers of the words of 4 bytes in `size` bytes from each offset."""
    first = (offsets >> u8(2)).astype(np.intp)
    if size <= 4:
        return first
    return (first[:, None] + np.arange(size // 4)).ravel()


class History:
    """Who wrote and read each word of 4 bytes, and when: finds accesses that nothing orders.

    Time is a vector clock: `warp.clock[a]` is how far warp `warp` has seen agent `a`. Agents are the warps and, behind
    them, the copies to shared memory, one agent for each mbarrier that they complete on. Barriers pass clocks on. An access is in
    order when the accessing warp has seen the time of the earlier one. Also notes which words were written by ordinary
    stores that no fence.proxy.async has handed to the asynchronous units.
    """

    def __init__(self, memory, warps, agents):
        count = len(memory.bytes) // 4
        self.memory, self.warps = memory, warps
        self.writer = np.zeros(count, np.intp)
        self.written = np.zeros(count, i4)
        self.reads = np.zeros((warps, count), i4)
        self.fresh = np.zeros(count, bool)
        self.lane = np.zeros(count, np.int8)  # of the writer
        self.clocks = np.zeros(agents, i4)  # of the agents that are not warps

    def read(self, warp, words, until=None, asynchronous=False):
        late = self.written.take(words) > warp.clock.take(self.writer.take(words))
        if late.any():
            word = int(words[np.flatnonzero(late)[0]])
            self.report(warp, word, "reads", f"{self.agent(warp, self.writer[word])} wrote")
        if asynchronous and self.fresh.take(words).any():
            word = int(words[np.flatnonzero(self.fresh.take(words))[0]])
            self.report(warp, word, "gives an asynchronous unit", f"{self.agent(warp, self.writer[word])} stored", "fence.proxy.async")
        self.reads[warp.number][words] = until or warp.clock[warp.number]

    def alone(self, warp, words, lanes, does):
        """Whether another lane of the warp wrote here since all its lanes were together."""
        recent = (self.writer.take(words) == warp.number) & (self.written.take(words) > warp.joined)
        if recent.any():
            others = recent & (self.lane.take(words) != lanes.repeat(len(words) // len(lanes)))
            if others.any():
                self.report(warp, int(words[np.flatnonzero(others)[0]]), does, "another lane wrote", "bar.warp.sync")

    def write(self, warp, words, copy=None):
        """`copy`: the agent of a copy that writes, after what its issuing warp has seen."""
        late = self.written.take(words) > warp.clock.take(self.writer.take(words))
        if late.any():
            word = int(words[np.flatnonzero(late)[0]])
            self.report(warp, word, "writes", f"{self.agent(warp, self.writer[word])} wrote")
        late = self.reads[:, words] > warp.clock[: self.warps, None]
        if late.any():
            reader, place = (int(x[0]) for x in np.nonzero(late))
            word = int(words[place])
            what = "is still reading asynchronously" if self.reads[reader, word] == IN_FLIGHT else "read"
            self.report(warp, word, "writes", f"{self.agent(warp, reader)} {what}")
        if copy is None:
            self.written[words], self.writer[words], self.fresh[words] = warp.clock[warp.number], warp.number, True
            return None
        if self.fresh.take(words).any():
            word = int(words[np.flatnonzero(self.fresh.take(words))[0]])
            self.report(warp, word, "copies over", f"{self.agent(warp, self.writer[word])} stored", "fence.proxy.async")
        self.clocks[copy] += 1
        self.written[words], self.writer[words] = self.clocks[copy], copy
        return self.clocks[copy]

    def finish(self, warp, words):
        """An asynchronous read is over."""
        self.reads[warp.number][words] = warp.clock[warp.number]

    def fence(self, warp):
        """Hands over every store that the warp has seen."""
        stores = np.flatnonzero(self.fresh)
        self.fresh[stores[self.written[stores] <= warp.clock[self.writer[stores]]]] = False

    def agent(self, warp, agent):
        if agent == warp.number:
            return "the same warp"
        return f"warp {agent}" if agent < self.warps else "a copy to shared memory"

    def report(self, warp, word, does, other, missing="barrier"):
        place = f"{self.memory.name} address {self.memory.base + 4 * word:#x}"
        raise PtxError(f"warp {warp.number} {does} {place}, which {other}, and no {missing} orders the two")

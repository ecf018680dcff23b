"""A queue with leases, delays and remembered ids as plain lists: what the SQLite provider must look like from outside."""

from dataclasses import dataclass


@dataclass
class Entry:
    number: int
    serial: int
    due: float | None = None  # None: never handed out; else when it may be (again)
    holder: object = None
    attempts: int = 0


class ModelQueue:
    def __init__(self, *, lease: float, dedup: float):
        self.lease, self.dedup = lease, dedup
        self.entries: list[Entry] = []
        self.seen: dict[int, float] = {}
        self.serial = 0

    def publish(self, numbers, now):
        statuses = []
        for number in numbers:
            known = self.seen.get(number)
            if known is not None and int(known) >= int(now) - self.dedup:
                statuses.append("duplicate")
                continue
            self.seen[number] = now
            self.serial += 1
            self.entries.append(Entry(number, self.serial))
            statuses.append("accepted")
        return statuses

    def available(self, now):
        again = sorted(
            (entry for entry in self.entries if entry.due is not None and entry.due <= now),
            key=lambda entry: (entry.due, entry.serial),
        )
        return again + [entry for entry in self.entries if entry.due is None]

    def receive(self, holder, limit, now):
        taken = self.available(now)[:limit]
        for entry in taken:
            entry.attempts += entry.holder is not None  # a lease ran out
            entry.holder, entry.due = holder, now + self.lease
        return [(entry.number, entry.attempts + 1) for entry in taken], taken

    def renew(self, holders, now):
        for entry in self.entries:
            if entry.holder in holders:
                entry.due = max(entry.due, now + self.lease)

    def ack(self, entries, holder):
        for entry in entries:
            if entry.holder is holder and entry in self.entries:
                self.entries.remove(entry)

    def nack(self, entry, holder, delay, counts, now):
        if entry.holder is holder and entry in self.entries:
            entry.holder, entry.attempts = None, entry.attempts + counts
            entry.due = now + delay if delay else 0

    def delete(self, numbers, now):
        gone = [
            entry
            for entry in self.entries
            if entry.number in numbers and (entry.holder is None or entry.due is None or entry.due <= now)
        ]
        passed = max((entry.serial for entry in gone if entry.due is None), default=0)
        for entry in gone:
            self.entries.remove(entry)
            self.seen.pop(entry.number, None)
        for entry in self.entries:
            if entry.due is None and entry.serial < passed:
                entry.due = 0
        return len(gone)

    def release(self, holder):
        for entry in self.entries:
            if entry.holder is holder:
                entry.holder, entry.due = None, 0

    def counts(self, now):
        held = [entry for entry in self.entries if entry.due is not None]
        return (
            len(self.available(now)),
            sum(entry.due > now and entry.holder is None for entry in held),
            sum(entry.due > now and entry.holder is not None for entry in held),
        )

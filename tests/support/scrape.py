"""A page of Prometheus metrics, read."""

from __future__ import annotations

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One page of metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    @property
    def metrics(self) -> set[str]:
        """Every metric that is announced, also one that has no sample yet."""
        return set(re.findall(r"^# TYPE (\S+)", self.text, re.MULTILINE))

    @property
    def names(self) -> set[str]:
        """Every name that a query can use: a histogram has three."""
        histograms = re.findall(r"^# TYPE (\S+) histogram", self.text, re.MULTILINE)
        return self.metrics | {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 without any."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def labels(self, name: str) -> list[dict[str, str]]:
        return [dict(sample.labels) for sample in self.samples if sample.name == name]


async def page(http: httpx.AsyncClient, url: str = "/metrics") -> Scrape:
    return Scrape((await http.get(url)).raise_for_status().text)

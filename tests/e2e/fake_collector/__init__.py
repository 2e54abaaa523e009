# SPDX-License-Identifier: Apache-2.0
"""A scriptable collector that behaves in every way a collector, a proxy or a network should not. See README.md."""

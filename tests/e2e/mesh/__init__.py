# SPDX-License-Identifier: Apache-2.0
"""A small mesh for test_mesh.py; README.md has the picture."""

"""What AWS charges for what verify_storage reads: list prices of us-east-1, without free tiers. The table of
docs/performance.md has the same, with the page of each: prices change.
"""

AS_OF = "2026-11-24"
S3_READ = 0.40 / 1e6  # $ for a GetObject or a HeadObject
S3_OUT = 0.09 / 1e9  # $ for a byte that leaves the region to the internet; within the region it costs nothing

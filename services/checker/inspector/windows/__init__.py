# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a Windows is made of: registry hives, drivers, boot configuration, servicing. Run only for images that hold one."""

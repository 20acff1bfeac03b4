// What hides the rest.

rule Preload_Hides_Processes
{
    meta:
        description = "A library that takes processes out of what /proc lists (libprocesshider and its like)"
        date = "2026-11-24"
    strings:
        $name = "process_to_filter" ascii
        $stat = "/proc/%s/stat" ascii
        $self = "/proc/self/fd/%d" ascii
        $scan = "%d (%[^)]s" ascii
        $hook = "readdir" fullword ascii
    condition:
        uint32(0) == 0x464C457F and $hook and ($name or all of ($stat, $self, $scan))
}

rule Preload_Rootkit
{
    meta:
        description = "A library of the Jynx, Azazel or Beurk rootkits, or one built from them"
        date = "2026-11-29"
    strings:
        $preload = "ld.so.preload" ascii
        $jynx = /jynx[_2]|JYNX/ ascii
        $azazel = /azazel|AZAZEL/ ascii
        $beurk = /\bbeurk|BEURK/ ascii
        $accept = "accept" fullword ascii
        $readdir = "readdir" fullword ascii
        $lxstat = "__lxstat" fullword ascii
        $hidden_xattr = "HIDE_THIS_SHELL" ascii
    condition:
        uint32(0) == 0x464C457F and $preload and 2 of ($accept, $readdir, $lxstat) and any of ($jynx, $azazel, $beurk, $hidden_xattr)
}

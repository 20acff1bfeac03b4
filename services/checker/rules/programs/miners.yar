// Cryptocurrency miners: what is found most often in public images that somebody meant harm by.

rule Miner_XMRig_Program
{
    meta:
        description = "XMRig or a program built from it"
        date = "2026-11-24"
    strings:
        $donate = "donate-level" ascii
        $stratum = /stratum\+(tcp|ssl|tls):\/\// ascii
        $randomx = "randomx" ascii
        $algorithm = "rx/0" ascii
        $cryptonight = "cryptonight" ascii
        $nicehash = "nicehash" ascii
        $msr = "randomx_msr" ascii
    condition:
        (uint32(0) == 0x464C457F or uint16(0) == 0x5A4D) and $donate and 4 of them
}

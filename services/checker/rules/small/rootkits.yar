// What hides the rest.

rule Preload_Of_Odd_Place
{
    meta:
        description = "ld.so.preload has a library loaded into every program from a folder that anybody writes to, or a hidden one"
        date = "2026-11-24"
    strings:
        $place = /(^|[\s:])\/((tmp|var\/tmp|dev\/shm|run\/shm)\/|([^\s:#]{0,200}\/)?\.)[^\s:]/ ascii
    condition:
        filepath matches /(^|:)\/etc\/ld\.so\.preload$/ and filesize < 64KB and $place
}

// Shells that web servers offer.

rule WebShell_PHP
{
    meta:
        description = "PHP that runs what a request says"
        date = "2026-11-29"
    strings:
        $php = /<\?(php|=|\s)/ ascii nocase
        $run = /\b(eval|assert|system|passthru|shell_exec|exec|popen|proc_open|create_function)\s{0,4}\(\s{0,4}@?(stripslashes\s{0,4}\(\s{0,4}|(base64_decode|gzinflate|str_rot13|gzuncompress)\s{0,4}\(\s{0,4}){0,3}\$_(GET|POST|REQUEST|COOKIE|SERVER)\s{0,4}[\[{]/ ascii nocase
        $back_tick = /`\s{0,4}\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/ ascii
        $wso = /define\s{0,4}\(\s{0,4}['"]WSO_VERSION['"]/ ascii
    condition:
        filesize < 2MB and $php and any of ($run, $back_tick, $wso)
}

rule WebShell_JSP
{
    meta:
        description = "JSP that runs what a request says"
        date = "2026-11-24"
    strings:
        $jsp = "<%" ascii
        $run = /getRuntime\s{0,4}\(\s{0,4}\)\s{0,4}\.\s{0,4}exec\s{0,4}\(\s{0,4}(new\s+String\s{0,4}\[\s{0,4}\]\s{0,4}\{[^}]{0,80})?request\s{0,4}\.\s{0,4}getParameter/ ascii
    condition:
        filesize < 1MB and $jsp and $run
}

# Run by ctest with cmake -P: what scripts/docs.sh says of pages that are made
# here.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE "${WORK_DIR}")
file(MAKE_DIRECTORY "${WORK_DIR}")

# A page, and what the script, with arguments, must print and end with.
function(expect status pattern page text)
  file(WRITE "${WORK_DIR}/${page}.md" "# Page\n\n${text}")
  execute_process(
    COMMAND "${SCRIPT}" ${ARGN} "${WORK_DIR}/${page}.md"
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
  if(NOT result EQUAL status OR NOT output MATCHES "${pattern}")
    message(FATAL_ERROR "${page}: ${result}, not ${status}: ${output}\n"
                        "not ${pattern}")
  endif()
endfunction()
set(build --build "${BUILD_DIR}")

# What is run, in which form, and in one folder for the page.
expect(0 "^4 blocks" good [[
<!-- walk after: echo first > made -->

Text.

<!-- walk: same -->

    $ cat made; echo two \
        three |
        tr t T
    first
    Two ...ree
    $ echo '[x] *'
    [x] *

<!-- walk -->
```sh
lutra --version > version
test -s version
```

<!-- walk: same -->

    $ printf 'a\n\nb\n'
    a

    b

<!-- no walk: another block follows -->

    $ false

<!-- walk: long -->

    $ false

<!-- walk -->

    lutra --help
    lutra --version
]] ${build})

expect(1 "bad.md:5: fails:.*bad.md:9: prints something else:.*2 blocks" bad [[
<!-- walk -->
```sh
lutra no-such-verb
```
<!-- walk: same -->

    $ echo one
    two
]] ${build})

expect(75 "there is no no_such_file.*0 blocks" missing [[
<!-- walk with: no_such_file -->
<!-- walk -->

    $ true
]] ${build})

expect(0 "^$" marked [[
<!-- walk -->

    $ true

<!-- no walk: so -->

    lutra

    int i = 0;  // is no command

Nor is this, in a paragraph:
    $ true
]] check)
foreach(mark "" "<!-- no walk: -->" "<!-- walk: often -->" "<!-- walk -->\n\nText.")
  expect(1 "unmarked.md:[0-9]*: does not say" unmarked "${mark}\n\n    $ true\n"
         check)
endforeach()
expect(0 "listed.md:5: because" listed "<!-- no walk: because -->\n\n    $ true\n" list)

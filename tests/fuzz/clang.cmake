# The compiler of the presets fuzz and tsan: a clang that has libFuzzer and the sanitizers, under whatever name.
if(NOT CMAKE_CXX_COMPILER)
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../../.ci/clang
    OUTPUT_VARIABLE CMAKE_CXX_COMPILER OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(CMAKE_CXX_COMPILER ${CMAKE_CXX_COMPILER} CACHE FILEPATH "A clang with libFuzzer")
endif()
